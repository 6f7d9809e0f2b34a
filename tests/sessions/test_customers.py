"""RFM and behaviour against the same figures computed here from the rows: ties, NULLs, refunds, orders, three time zones, days before 1970."""

from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from random import Random
from zoneinfo import ZoneInfo

ZONES = ["UTC", "Asia/Tokyo", "America/New_York"]
EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)
A_DAY = timedelta(days=1)


def make_rows(random):
    """Customer, instant, amount, order: few instants and amounts, so that many are equal."""
    rows = []
    for customer in range(60):
        first = random.choice([datetime(1969, 12, 25, tzinfo=timezone.utc), datetime(2023, 10, 20, tzinfo=timezone.utc), datetime(2024, 3, 1, tzinfo=timezone.utc)])
        for _ in range(random.choice([1, 1, 2, 5, 20])):
            at = first + timedelta(hours=random.randrange(24 * 30), microseconds=random.choice([0, 0, 1]))
            rows.append((customer, at, random.choice([None, -20, -0.1, 0, 0.1, 0.2, 0.3, 5, 5, 12.34, 1e6]), random.choice([None, 1, 2, 3])))
    return rows


def figures(purchases, as_of, zone, refunds):
    """Of one customer: recency, its days, age, span, frequency, monetary, mean, repeat days, their mean."""
    day = lambda at: at.astimezone(ZoneInfo(zone)).date()
    days = lambda delta: float(Fraction(delta // timedelta(microseconds=1), 86_400_000_000))
    seen = [(at, amount) for at, amount in purchases if at <= as_of]
    bought = [(at, amount) for at, amount in seen if refunds == "count" or amount is None or amount >= 0]
    money = [(at, Fraction(amount)) for at, amount in seen if amount is not None and (refunds != "ignore" or amount >= 0)]
    total = float(sum(amount for _, amount in money))
    n_known = sum(amount is not None for _, amount in bought)
    if not bought:
        return None, None, None, None, 0, total, None, 0, None
    first, last = min(at for at, _ in bought), max(at for at, _ in bought)
    first_day = min(day(at) for at, _ in bought)
    n_days = len({day(at) for at, _ in bought}) - 1
    later = sum(amount for at, amount in money if day(at) > first_day)
    return (days(as_of - last), float((day(as_of) - day(last)).days), days(as_of - first), days(last - first), len(bought), total,
            total / n_known if n_known else None, n_days, float(later / n_days) if n_days else None)


def score(values, bins):
    n = len(values)
    twice = lambda value: sum(other < value for other in values) + sum(other <= value for other in values)
    return [1 + min(bins * twice(value) // (2 * n), bins - 1) for value in values]


def near(found, wanted):
    if found is None or wanted is None:
        return found is wanted
    return abs(found - wanted) <= 1e-9 * max(1, abs(wanted))


CALLS = """
    persona.recency(r, {as_of}, refunds => '{refunds}'), persona.recency(r, {as_of}, 'day', '{refunds}'), persona.customer_age(r, {as_of}, refunds => '{refunds}'),
    persona.purchase_span(r, {as_of}, refunds => '{refunds}'), persona.frequency(r, {as_of}, '{refunds}'), persona.monetary(r, {as_of}, '{refunds}'),
    persona.mean_amount(r, {as_of}, '{refunds}'), persona.repeat_days(r, {as_of}, '{refunds}'), persona.repeat_amount(r, {as_of}, '{refunds}')
"""


def test_rfm_is_what_the_rows_say_at_any_instant_in_any_time_zone(cluster):
    random = Random(4)
    rows = make_rows(random)
    instants = sorted({at for _, at, _, _ in rows})
    with cluster.connect() as session:
        fill(session, rows)
        n_checked = 0
        for zone in ZONES:
            # The session's own zone must not be seen.
            session.query(f"SET timezone = '{random.choice(ZONES + ['Pacific/Apia'])}'")
            moments = random.sample(instants, 6) + [at - timedelta(microseconds=1) for at in random.sample(instants, 3)] + [datetime(2024, 2, 1, tzinfo=timezone.utc), instants[0] - A_DAY, instants[-1] + A_DAY]
            for as_of in moments:
                for refunds in ("count", "net", "ignore"):
                    local = as_of.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
                    given = random.choice([f"timestamptz '{as_of.isoformat()}'", f"timestamp '{local.isoformat()}'"]) if zone != "America/New_York" else f"timestamptz '{as_of.isoformat()}'"
                    found = session.rows(f"SELECT customer, {CALLS.format(as_of=given, refunds=refunds)} FROM (SELECT customer, persona.rfm(at, amount, '{zone}') AS r FROM line GROUP BY customer) s ORDER BY 1")
                    for customer, *values in found:
                        wanted = figures([(at, amount) for who, at, amount, _ in rows if who == customer], as_of, zone, refunds)
                        assert all(near(one, other) for one, other in zip(values, wanted)), f"{customer} in {zone} at {given}, {refunds}: {values} for {wanted}"
                        n_checked += len(values)
                    check_scores(session, rows, as_of, refunds, zone, given)
        assert n_checked >= 50_000, n_checked


def fill(session, rows):
    session.query("CREATE TEMPORARY TABLE line (customer int, at timestamptz, amount float8, order_id int)")
    values = ", ".join(f"({customer}, '{at.isoformat()}', {'NULL' if amount is None else amount}, {'NULL' if order is None else order})" for customer, at, amount, order in rows)
    session.query(f"INSERT INTO line VALUES {values}")


def check_scores(session, rows, as_of, refunds, zone, given):
    found = session.rows(f"""SELECT customer, (s).r, (s).f, (s).m FROM (SELECT customer, persona.rfm_segment(r, {given}, refunds => '{refunds}') OVER () AS s
        FROM (SELECT customer, persona.rfm(at, amount, '{zone}') AS r FROM line GROUP BY customer) g) w WHERE s IS NOT NULL ORDER BY 1""")
    customers = sorted({row[0] for row in rows})
    known = [(who, figures([(at, amount) for other, at, amount, _ in rows if other == who], as_of, zone, refunds)) for who in customers]
    known = [(who, values) for who, values in known if values[0] is not None]
    wanted = zip([who for who, _ in known], score([-values[0] for _, values in known], 5), score([values[4] for _, values in known], 5), score([values[5] for _, values in known], 5))
    assert found == list(wanted), f"at {given}, {refunds}"


def test_lines_of_orders_are_one_purchase_each(cluster):
    rows = make_rows(Random(5))
    with cluster.connect() as session:
        fill(session, rows)
        wanted = session.rows("""SELECT customer, persona.rfm(at, amount)::text FROM (
            SELECT customer, min(at) AS at, sum(amount) AS amount FROM line GROUP BY customer, order_id, CASE WHEN order_id IS NULL THEN ctid END) o GROUP BY 1 ORDER BY 1""")
        close = lambda one: [(at, None if amount is None else round(amount, 6)) for at, amount in eval(one.replace("null", "None"))["purchases"]]
        for order in ("order_id", "order_id::text", "order_id::numeric(9, 2)", "('0000' || order_id)::char(12)"):
            found = session.rows(f"SELECT customer, persona.rfm(at, amount, 'UTC', {order})::text FROM line GROUP BY 1 ORDER BY 1")
            assert [(who, sorted(close(one), key=str)) for who, one in found] == [(who, sorted(close(one), key=str)) for who, one in wanted], order


def test_days_are_those_of_the_time_zone_and_not_of_the_session(cluster):
    random = Random(6)
    with cluster.connect() as session:
        session.query("CREATE TEMPORARY TABLE events AS SELECT i % 9 AS customer, date '1969-12-20' + i % 50 AS day, timestamp '1969-12-20' + i * interval '5 hours' AS at, i % 4 AS amount FROM generate_series(1, 400) AS i")
        expressions = [f"persona.{kind}day, amount{zone})::text" for kind in ("rfm(", "behaviour('view', ") for zone in ("", *(f", '{zone}'" for zone in ZONES))]
        expressions += [one.replace("day, ", "at, ") for one in expressions]
        expressions += [f"persona.features(persona.behaviour('view', {column}, amount{zone}), {as_of})::text" for column in ("day", "at") for zone in ("", ", 'Asia/Tokyo'") for as_of in ("date '1970-01-05'", "timestamp '1970-01-05 23:30'")]
        expressions += [f"persona.recency(persona.rfm({column}, amount{zone}), {as_of}, 'day')::text" for column in ("day", "at") for zone in ("", ", 'Asia/Tokyo'") for as_of in ("date '1970-01-05'", "timestamp '1970-01-05 23:30'")]
        # A literal meets times without a zone on the session's clock, so it is what it says.
        expressions += [f"persona.{function}(persona.rfm(day, amount), '1970-01-05 13:00')::text" for function in ("recency", "frequency", "monetary", "repeat_days", "customer_age")]
        for expression in expressions:
            found = {}
            for zone in random.sample(ZONES + ["Pacific/Apia", "America/Los_Angeles"], 3):
                session.query(f"SET timezone = '{zone}'")
                found[zone] = session.rows(f"SELECT customer, {expression} FROM events GROUP BY customer ORDER BY 1, 2")
            assert len({str(rows) for rows in found.values()}) == 1, f"{expression}: {found}"


def test_a_purchase_on_a_day_is_counted_on_that_day(cluster):
    """Dates of a table, compared with the dates themselves, in every session's zone."""
    with cluster.connect() as session:
        session.query("CREATE TEMPORARY TABLE bought AS SELECT i % 7 AS customer, date '2024-03-01' + i * i % 60 AS day, i AS amount FROM generate_series(1, 100) AS i")
        for zone in ZONES + ["Pacific/Kiritimati", "Pacific/Apia"]:
            session.query(f"SET timezone = '{zone}'")
            for as_of in (date(2024, 3, 10), date(2024, 3, 31), date(2024, 4, 30)):
                found = session.rows(f"""SELECT customer, persona.recency(r, date '{as_of}'), persona.frequency(r, date '{as_of}'), persona.monetary(r, date '{as_of}'), persona.repeat_days(r, date '{as_of}')
                    FROM (SELECT customer, persona.rfm(day, amount) AS r FROM bought GROUP BY customer) s ORDER BY 1""")
                wanted = session.rows(f"""SELECT customer, (date '{as_of}' - max(day))::float8, count(*), sum(amount)::float8, count(DISTINCT day) - 1 FROM bought WHERE day <= date '{as_of}' GROUP BY customer ORDER BY 1""")
                assert found == wanted, f"{zone} at {as_of}: {found} for {wanted}"
