"""Many rows by one statement whose text does not change with their number.

A list of 50 placeholders is read, planned and rendered anew for each length of it, and 50 rows of an ``executemany``
are 50 statements. PostgreSQL is given the one as an array and the other as JSON; SQLite, which is in the process,
both as ever.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from typing import cast as cast_type

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    ColumnElement,
    Connection,
    CursorResult,
    Insert,
    Integer,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Rows = Sequence[Mapping[str, Any]]


class _Among(FunctionElement[bool]):
    name = "among"
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> _Among:  # noqa: ARG002 - the name is SQLAlchemy's
        """As it is: SQLite would be asked whether it "= 1", and would not see what index is for it."""
        return self


def among(one: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Whether a column has one of ``values``, as ``in_``."""
    listed = list(values)
    array = bindparam(None, listed, type_=ARRAY(one.type, dimensions=1), unique=True)
    return _Among(one, array, bindparam(None, listed, type_=one.type, unique=True, expanding=True))


@compiles(_Among)
def _as_list(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    one, _, listed = element.clauses
    return f"{compiler.process(one, **options)} IN {compiler.process(listed, **options)}"


@compiles(_Among, "postgresql")
def _as_array(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    one, array, _ = element.clauses
    return f"{compiler.process(one, **options)} = ANY ({compiler.process(array, **options)})"


def put(connection: Connection, statement: Insert, rows: Rows, *, key: Sequence[str] = ()) -> list[CursorResult[Any]]:
    """Insert ``rows`` in their order, all with the same columns. ``key``: where ``statement`` changes what is there,
    the columns by which it is known; one statement can't change the same row twice."""
    if connection.dialect.name == "sqlite":
        return [connection.execute(statement, list(rows))]
    names = tuple(rows[0])
    table = cast_type("Table", statement.table)
    whole = statement.from_select(names, _given(table, names))
    return [connection.execute(whole, _as_json(table, names, each)) for each in _rounds(rows, key)]


class UpdateMany:
    """An update of many rows, each by its ``key``. ``make`` is given the way to a row's new values, by the names of
    the table's columns."""

    def __init__(
        self,
        table: Table,
        key: str,
        names: Sequence[str],
        make: Callable[[Callable[[str], ColumnElement[Any]]], Update],
    ) -> None:
        self._table = table
        self._names = tuple(names)
        self._key = key
        given = _given(table, self._names).subquery("given")
        self._at_once = make(lambda name: given.c[name])
        self._one_by_one = make(lambda name: bindparam(f"new_{name}", type_=table.c[name].type))

    def of(self, connection: Connection, rows: Rows) -> None:
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            connection.execute(self._one_by_one, [{f"new_{name}": row[name] for name in self._names} for row in rows])
            return
        for each in _rounds(rows, (self._key,)):
            connection.execute(self._at_once, _as_json(self._table, self._names, each))


_ROWS = bindparam("given_rows", type_=Text())


@lru_cache
def _given(table: Table, names: tuple[str, ...]) -> Select[Any]:
    """The rows that are given as JSON, in their order."""
    types = {name: table.c[name].type for name in names}
    columns = [column(name, Text() if isinstance(one, JSON) else one) for name, one in types.items()]
    rows = func.json_to_recordset(cast(_ROWS, JSON)).table_valued(*columns, column("place", Integer()))
    rows = rows.render_derived("came", with_types=True)
    told = [
        cast(rows.c[name], one).label(name) if isinstance(one, JSON) else rows.c[name] for name, one in types.items()
    ]
    return select(*told).order_by(rows.c.place)


def _as_json(table: Table, names: Sequence[str], rows: Rows) -> dict[str, str]:
    """One text: an array a column takes the driver five times as long.

    JSON in it is a text of its own: it may hold what no text of PostgreSQL's can (NUL, half a surrogate pair), and is
    not looked into as such.
    """
    inner = [name for name in names if isinstance(table.c[name].type, JSON)]
    told = [
        {**{name: row[name] for name in names}, **{name: json.dumps(row[name]) for name in inner}, "place": place}
        for place, row in enumerate(rows)
    ]
    return {"given_rows": json.dumps(told, default=datetime.isoformat)}


def _rounds(rows: Rows, key: Sequence[str]) -> Iterator[Rows]:
    """All at once, unless some have the same key: those one after the other."""
    if not key:
        yield rows
        return
    times: Counter[tuple[Any, ...]] = Counter()
    rounds: list[list[Mapping[str, Any]]] = []
    for row in rows:
        mine = tuple(row[name] for name in key)
        if times[mine] == len(rounds):
            rounds.append([])
        rounds[times[mine]].append(row)
        times[mine] += 1
    yield from rounds
