"""describe, quantiles and rfm beside pandas, numpy and scipy on the tables that scikit-learn brings and on one of odd values; runs
in the venv of the benchmarks.

`tables.py data NAME PATH` writes a table as CSV with an id and prints its columns. `tables.py compare NAME PATH OURS` reads what SQL
made of it and prints the largest difference of each figure, relative where the right value is above 1. `purchases` is the table of
rfm: of it each figure is told for each time zone.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import datasets

TABLES = ("iris", "digits", "wine", "breast_cancer", "diabetes", "linnerud")
QUANTILES = (0, 0.01, 0.34, 0.5, 0.9, 0.999, 1)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns")
AS_OF = pd.Timestamp("2011-03-27 00:30", tz="UTC")


def odd():
    """Ties, missing values, integers that no double tells apart, dates long ago, and times that do."""
    random = np.random.default_rng(7)
    n = 5000
    frame = pd.DataFrame({
        "ties": random.integers(0, 5, n) / 4,
        "missing": np.where(random.random(n) < 0.6, np.nan, random.normal(size=n).round(2)),
        "far": 1.7e12 + random.integers(0, 1000, n),
        "large": 2.0**53 + 2 * random.integers(0, 3, n),
        "constant": np.full(n, 0.1),
        "seconds": -3e9 + random.integers(0, 900, n) * 86400.0,
        "sign": np.where(random.random(n) < 0.5, -0.0, 0.0),
        "tails": np.exp(random.normal(size=n) * 3).round(3),
    })
    return frame


def purchases():
    random = np.random.default_rng(11)
    n = 20_000
    # Years before 1970, clocks put forward and back, moments around midnight; half of them before AS_OF.
    days = random.integers(0, 20_000, n)
    at = pd.Timestamp("1960-01-01") + pd.to_timedelta(days, unit="D") + pd.to_timedelta(random.integers(0, 86_400_000_000, n), unit="us")
    at = pd.Series(at).where(random.random(n) < 0.9, pd.Timestamp("2011-03-27") + pd.to_timedelta(pd.Series(random.integers(-100_000, 100_000, n)), unit="s"))
    amount = np.where(random.random(n) < 0.1, np.nan, (random.gamma(2, 20, n) * np.where(random.random(n) < 0.1, -1, 1)).round(2))
    return pd.DataFrame({"customer": random.integers(0, 900, n), "at": at.dt.strftime("%Y-%m-%d %H:%M:%S.%f"), "amount": amount})


def read(name):
    if name == "odd":
        return odd()
    if name == "purchases":
        return purchases()
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = bunch.frame
    frame.columns = [f"f{place}" for place in range(frame.shape[1])]
    return frame.astype(float)


def data(name, path):
    frame = read(name)
    frame.insert(0, "id", np.arange(1, len(frame) + 1))
    frame.to_csv(path, index=False, float_format="%.17g")
    print(json.dumps(list(frame.columns[1:])))


def difference(ours, right):
    """Of two columns of numbers, missing ones apart, which must be the same ones."""
    ours, right = np.asarray(ours, float), np.asarray(right, float)
    if (np.isnan(ours) != np.isnan(right)).any():
        return float("inf")
    found = np.abs(ours - right) / np.maximum(1, np.abs(right))
    return float(np.nanmax(found, initial=0))


def compare_columns(frame, ours):
    right = {
        "n": frame.count(), "nulls": frame.isna().sum(), "n_distinct": frame.nunique(), "mean": frame.apply(exact_mean), "sd": frame.apply(exact_sd),
        "min": frame.min(), "q25": frame.quantile(0.25), "median": frame.quantile(0.5), "q75": frame.quantile(0.75), "max": frame.max(),
        # Of a column without a spread pandas and scipy disagree.
        "skew": frame.apply(lambda column: stats.skew(column.dropna() - column.median()) if column.std() > 1e-9 else np.nan),
    }
    for figure, values in right.items():
        yield figure, difference([row[figure] for row in ours["describe"]], values)
    for place, q in enumerate(QUANTILES):
        yield f"quantile {q}", max(off(frame[column].dropna(), q, row[place]) for column, row in zip(frame, ours["quantiles"]))


# Up to so many distinct values quantiles are exact; beyond, their ranks are, to so much.
EXACT, RANK = 1280, 0.002


def off(values, q, found):
    if values.nunique() <= EXACT:
        return difference([found], [np.quantile(values, q)])
    least, most = (values < found).mean(), (values <= found).mean()
    return 0 if least - RANK <= q <= most + RANK else float("inf")


def exact_mean(column):
    values = column.dropna()
    return values.iloc[0] + (values - values.iloc[0]).sum() / len(values)


def exact_sd(column):
    values = column.dropna()
    return (values - values.iloc[0]).std()


def rfm(frame, zone, refunds):
    """By hand: one row a customer, in their order."""
    known = frame[frame["at"] <= AS_OF]
    if refunds == "ignore":
        known = known[~(known["amount"] < 0)]
    paying = known if refunds != "net" else known[~(known["amount"] < 0)]
    customers = np.sort(frame["customer"].unique())
    by = paying.groupby("customer")
    local = paying.assign(day=paying["at"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize())
    days = local.groupby(["customer", "day"])["amount"].sum().reset_index()
    first = days.groupby("customer")["day"].transform("min")
    day = pd.Timedelta(days=1)
    last_day = local.groupby("customer")["day"].max()
    figures = {
        "recency": (AS_OF - by["at"].max()) / day, "recency_days": (AS_OF.tz_convert(zone).tz_localize(None).normalize() - last_day) / day,
        "customer_age": (AS_OF - by["at"].min()) / day, "purchase_span": (by["at"].max() - by["at"].min()) / day,
        "frequency": by.size().reindex(customers, fill_value=0), "monetary": known.groupby("customer")["amount"].sum().reindex(customers, fill_value=0),
        "repeat_days": (days["day"] > first).groupby(days["customer"]).sum().reindex(customers, fill_value=0),
    }
    if refunds != "net":
        figures["mean_amount"] = by["amount"].mean()
        figures["repeat_amount"] = days[days["day"] > first].groupby("customer")["amount"].mean()
    return {name: values.reindex(customers).to_numpy(float) for name, values in figures.items()}


def compare_purchases(frame, ours):
    frame["at"] = pd.to_datetime(frame["at"], format="%Y-%m-%d %H:%M:%S.%f").dt.tz_localize("UTC")
    for name, rows in ours.items():
        zone, refunds = name.split("|")
        for figure, right in rfm(frame, zone, refunds).items():
            yield f"{figure}, {zone}, {refunds}", difference([row[figure] for row in rows], right)


def compare(name, path, answers):
    frame = pd.read_csv(path, float_precision="round_trip").drop(columns="id")
    ours = json.loads(Path(answers).read_text())
    print(json.dumps(list(compare_purchases(frame, ours) if name == "purchases" else compare_columns(frame, ours))))


if __name__ == "__main__":
    {"data": data, "compare": compare, "names": lambda: print(json.dumps([TABLES, QUANTILES, ZONES, str(AS_OF)]))}[sys.argv[1]](*sys.argv[2:])
