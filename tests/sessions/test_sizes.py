"""Models of every size: what was imported comes out byte for byte, or is refused with the reason before much is read."""

from lib import onnx
from lib.consistency import check_registry
from lib.pgwire import ServerError
from lib.processes import peak_memory
from lib.onnx_process import settings
from lib.tally import long, told

CHUNK, LARGEST_BYTEA, LARGEST = 1 << 20, 256 << 20, 1 << 30


def shell():
    """A whole model and, before its text, the head of one that is only text: y = x + 1.5. Fields may stand in any order."""
    return onnx.model(onnx.graph([onnx.node("Add", ["x", "w"], ["y"])], ("x",), ("y",), (5, onnx.floats("w", [1.5], 1))))


def of_size(size):
    """SQL of a model of so many bytes, made on the server: its doc_string is as long as need be."""
    inside = shell()
    length = size - len(inside) - 1
    for digits in range(1, 6):
        head = bytes([6 << 3 | 2]) + onnx.varint(length - digits)
        if len(onnx.varint(length - digits)) == digits:
            return f"'\\x{(inside + head).hex()}'::bytea || convert_to(repeat('a', {length - digits}), 'UTF8')"
    raise AssertionError(size)


def check_size(session, name, size, as_object=False):
    session.query("DROP TABLE IF EXISTS sent; CREATE TABLE sent (onnx bytea); ALTER TABLE sent ALTER onnx SET STORAGE EXTERNAL")
    session.query(f"INSERT INTO sent SELECT {of_size(size)}")
    assert session.scalar("SELECT length(onnx) FROM sent") == size
    what = "onnx" if not as_object else "lo_from_bytea(0, onnx)"
    session.query(f"SELECT FROM persona.import_onnx('{name}', (SELECT {what} FROM sent))", 300)
    assert session.scalar(f"SELECT sha256(persona.export_onnx('{name}')) = sha256(onnx) FROM sent", 300), f"{size} bytes come out otherwise"
    n_chunks = -(-size // CHUNK)
    assert session.rows(f"SELECT n_bytes, (SELECT count(*) FROM persona.model_chunk c WHERE (c.model_id, c.version) = (v.model_id, v.version)) "
                        f"FROM persona.model_version v JOIN persona.model m ON m.id = v.model_id WHERE m.name = '{name}' AND v.version = m.active_version") == [(size, n_chunks)]
    assert session.scalar(f"SELECT persona.score('{name}', t) FROM (SELECT 2 AS x) AS t", 120) == 3.5


def test_models_around_a_chunk_come_out_as_they_came_in(cluster):
    with cluster.connect() as session:
        for size in (CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 5 * CHUNK + 1, 300):
            for as_object in (False, True):
                check_size(session, "m", size, as_object)
        check_registry(session)
        assert session.scalar("SELECT count(*) FROM pg_largeobject_metadata") == 7
        # A value of the registry's own may not be compressed away, or toasted in another way: the bytes are the same after a rewrite.
        before = session.rows("SELECT version, sha256 FROM persona.model_versions")
        session.query("VACUUM FULL persona.model_chunk")
        assert session.rows("SELECT version, sha256 FROM persona.model_versions") == before
        check_registry(session)


def test_what_is_no_model_is_refused_at_every_size(cluster):
    with cluster.connect() as session:
        for size in (0, 1, 2, 7, CHUNK - 1, CHUNK, CHUNK + 1):
            for content in ("repeat('00', {size})", "repeat('ff', {size})", "repeat('0a', {size})"):
                error = session.error(f"SELECT persona.import_onnx('m', decode({content.format(size=size)}, 'hex'))")
                assert error.sqlstate[:2] == "22", f"{size} bytes of {content}: {error}"
                error = session.error(f"SELECT persona.import_onnx('m', lo_from_bytea(0, decode({content.format(size=size)}, 'hex')))")
                assert error.sqlstate[:2] == "22", f"an object of {size} bytes of {content}: {error}"
        for argument in ("NULL::bytea", "NULL::oid"):
            assert session.error(f"SELECT persona.import_onnx('m', {argument})").sqlstate == "22004"
        assert session.error("SELECT persona.import_onnx('m', 4294967295::oid)").sqlstate == "42704"
        assert session.scalar("SELECT count(*) FROM persona.models") == 0


def test_a_bytea_over_the_limit_is_refused_before_it_is_read(cluster):
    with cluster.connect() as session:
        session.query("SELECT FROM persona.models")
        error = session.error(f"SELECT persona.import_onnx('m', convert_to(repeat('a', {LARGEST_BYTEA + 1}), 'UTF8'))", 120)
        assert error.sqlstate == "54000" and "large object" in error.hint, error


def test_a_large_object_over_the_limit_is_refused_before_it_is_read(cluster):
    """One whose last byte alone is there: nothing but its size says that it is too large."""
    with cluster.connect() as session:
        session.query("CREATE TABLE objects AS SELECT lo_create(0) AS object")
        session.query(f"SELECT lo_put(object, {LARGEST}, '\\x00') FROM objects")
        error = session.error("SELECT persona.import_onnx('m', (SELECT object FROM objects))", 120)
        assert error.sqlstate == "54000", error
        peak = peak_memory(session.pid) >> 20
        assert peak < 400, f"{peak} MB were taken to refuse it"


@long
def test_models_of_the_greatest_sizes_come_out_as_they_came_in(cluster):
    """256 MiB as a bytea; as a large object more than that. A value of PostgreSQL's has no room for 1 GiB: such a model scores, and is
    not exported."""
    with cluster.connect(timeout=600) as session:
        check_size(session, "m", LARGEST_BYTEA)
        check_size(session, "m", LARGEST_BYTEA + 1, as_object=True)
        session.query("DROP TABLE sent; SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
        check_registry(session)
        session.query("SELECT persona.drop_model('m')")
        told(f"256 MiB and one byte more came out as they came in; the session's peak was {peak_memory(session.pid) >> 20} MB")


@long
def test_a_large_object_of_the_greatest_size_is_imported_or_refused(cluster):
    with cluster.connect(timeout=600) as session:
        # Its parts are written one by one: no value holds it whole.
        inside, piece = shell(), 64 << 20
        length = LARGEST - len(inside) - 6
        head = inside + bytes([6 << 3 | 2]) + onnx.varint(length)
        assert len(head) + length == LARGEST
        session.query("CREATE TABLE objects AS SELECT lo_create(0) AS object")
        for at in range(len(head), LARGEST, piece):
            session.query(f"SELECT lo_put(object, {at}, convert_to(repeat('a', {min(piece, LARGEST - at)}), 'UTF8')) FROM objects")
        session.query(f"SELECT lo_put(object, 0, '\\x{head.hex()}') FROM objects")
        import_it = "SELECT FROM persona.import_onnx('m', (SELECT object FROM objects))"
        # ONNX Runtime may have no room for it; then it is refused whole.
        try:
            session.query(import_it, 600)
        except ServerError as error:
            assert error.sqlstate in ("53200", "54000"), error
            assert session.scalar("SELECT count(*) FROM persona.models") == 0
            told(f"1 GiB, checked by ONNX Runtime: {error.message}")
        # A server without ONNX Runtime takes it unchecked.
        with settings(cluster, session, onnxruntime_library="/nowhere/libonnxruntime.so"):
            session.query(import_it, 600)
        assert session.rows("SELECT n_bytes FROM persona.model_versions WHERE is_active") == [(LARGEST,)]
        check_registry_without_bytes(session)
        error = session.error("SELECT length(persona.export_onnx('m'))", 600)
        assert error.sqlstate in ("54000", "53200"), error
        told(f"1 GiB is in the registry; the session's peak was {peak_memory(session.pid) >> 20} MB; exported: {error}")


def check_registry_without_bytes(session):
    """The digest of 1 GiB cannot be asked of PostgreSQL, which has no value of that length."""
    assert session.rows("SELECT count(*), sum(length(bytes)) FROM persona.model_chunk") == [(LARGEST // CHUNK, LARGEST)]
