"""How the tables hang together, and what people say when they cross from one to the other."""

from dataclasses import dataclass

from .schema import BY_NAME, Table


@dataclass(frozen=True)
class Relation:
    """Rows of `child_name` point at rows of `parent_name` by `key`. `did` is what a parent with children did ("placed"), `measure` a number of the child."""

    child_name: str
    key: str
    parent_name: str
    did: str
    do: str
    measure: str = ""
    of_parent: tuple[str, ...] = ("of {}",)

    @property
    def child(self) -> Table:
        """The table with the key."""
        return BY_NAME[self.child_name]

    @property
    def parent(self) -> Table:
        """The table the key points at."""
        return BY_NAME[self.parent_name]

    @property
    def condition(self) -> str:
        """The join condition, always the child's key first."""
        return f"{self.child_name}.{self.key} = {self.parent_name}.id"

    @property
    def from_child(self) -> str:
        """FROM for a row per child."""
        return f"{self.child_name} JOIN {self.parent_name} ON {self.condition}"

    @property
    def from_parent(self) -> str:
        """FROM for a group per parent."""
        return f"{self.parent_name} JOIN {self.child_name} ON {self.condition}"

    @property
    def parent_label(self) -> str:
        """The column that names a parent."""
        return f"{self.parent_name}.{self.parent.label.name}"


RELATIONS = (
    Relation("orders", "customer_id", "customers", "placed", "place", "amount", ("from {}", "of {}", "by {}", "placed by {}")),
    Relation("orders", "customer_id", "customers", "made", "make", "amount", ("of {}", "made by {}")),
    Relation("orders", "product_id", "products", "have", "have", "quantity", ("for {}", "of {}")),
    Relation(
        "employees",
        "department_id",
        "departments",
        "have",
        "have",
        "salary",
        ("in {}", "who work in {}", "working in {}", "from {}", "who belong to {}"),
    ),
    Relation("invoices", "customer_id", "customers", "have", "have", "amount", ("of {}", "for {}", "from {}")),
    Relation("reviews", "product_id", "products", "received", "receive", "rating", ("of {}", "for {}")),
    Relation("reviews", "user_id", "users", "wrote", "write", "rating", ("by {}", "from {}", "written by {}")),
    Relation("enrollments", "student_id", "students", "have", "have", "score", ("of {}",)),
    Relation("enrollments", "course_id", "courses", "have", "have", "score", ("in {}", "for {}")),
)
