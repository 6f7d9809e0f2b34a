"""polars over connectorx, which takes a query and no parameters."""

import polars

import common

given = common.connection()
uri = f"postgresql://{given['user']}:{given['password']}@{given['tcp_host']}:{given['port']}/{given['database']}"


class Refused(Exception):
    pass


def ask(sql, values, kinds):
    try:
        return polars.read_database_uri(sql, uri, engine="connectorx").rows()
    except BaseException as error:
        # A type that it does not know is a panic, which is no exception of Python's.
        raise Refused(str(error)) from None


common.main(ask)
