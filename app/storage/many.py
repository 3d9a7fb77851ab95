"""Many rows by one statement whose text does not change with their number.

A list of 50 placeholders is read, planned and rendered anew for each length of it, and 50 rows of an ``executemany``
are 50 statements: with PostgreSQL that was most of what settling an event cost. There they are arrays, one a column.
SQLite, which is in the process and has no arrays, is given them as ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
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
    return _Among(one, array, one.in_(listed))


@compiles(_Among)
def _as_list(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    *_, listed = element.clauses
    return compiler.process(listed, **options)


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
    whole = statement.from_select(names, _given(statement.table, names))
    return [connection.execute(whole, _columns(names, each)) for each in _rounds(rows, key)]


class UpdateMany:
    """An update of many rows, each by its ``key``. ``make`` is given the way to a row's new values, by name; names
    that no column of the table has are told with their types."""

    def __init__(
        self,
        table: Table,
        key: str,
        names: Sequence[str],
        make: Callable[[Callable[[str], ColumnElement[Any]]], Update],
    ) -> None:
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
            connection.execute(self._at_once, _columns(self._names, each))


@lru_cache
def _given(table: Table, names: tuple[str, ...]) -> Select[Any]:
    """The rows of arrays, one a column, in their order."""
    columns: list[Column[Any]] = [table.c[name] for name in names]
    arrays = [bindparam(f"new_{one.name}", type_=ARRAY(one.type, dimensions=1)) for one in columns]
    rows = func.unnest(*arrays).table_valued(
        *(column(one.name, one.type) for one in columns), with_ordinality="place"
    )
    rows = rows.render_derived("came")
    return select(*(rows.c[name] for name in names)).order_by(rows.c.place)


def _columns(names: Sequence[str], rows: Rows) -> dict[str, list[Any]]:
    return {f"new_{name}": [row[name] for row in rows] for name in names}


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
