"""What a test needs of the server beside PostgreSQL itself. Where that is missing the test is skipped, and says why.

The servers come from several places, and not all bring the extensions of PostgreSQL's contrib.
"""

from lib.tally import Skip


def needs(cluster, *extensions):
    """Skips the test where the server lacks one of the extensions."""
    lacking = [name for name in extensions if not has(cluster, name)]
    if lacking:
        raise Skip(f"this PostgreSQL {cluster.server} has no {', '.join(lacking)}")


def has(cluster, extension):
    with cluster.connect("postgres") as connection:
        return connection.scalar(f"SELECT count(*) FROM pg_available_extensions WHERE name = '{extension}'") == 1
