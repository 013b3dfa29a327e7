"""One SELECT statement, and a question together with the statement that answers it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Statement:
    """The parts of a SELECT, each already SQL; empty parts are left out."""

    source: str
    columns: str = "*"
    where: tuple[str, ...] = ()
    group: str = ""
    having: str = ""
    order: str = ""
    limit: int = 0

    def sql(self) -> str:
        """The statement as text, in one spelling, ending in ";"."""
        text = f"SELECT {self.columns} FROM {self.source}"
        if self.where:
            text += " WHERE " + " AND ".join(self.where)
        for keyword, part in (("GROUP BY", self.group), ("HAVING", self.having), ("ORDER BY", self.order), ("LIMIT", self.limit)):
            if part:
                text += f" {keyword} {part}"
        return text + ";"

    def but(self, **changes) -> "Statement":
        """This statement with some parts replaced."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Asked:
    """A question and its statement. `literals` must survive typing: a proper name in any case, another word exactly."""

    text: str
    statement: Statement
    literals: tuple[tuple[str, bool], ...] = ()
