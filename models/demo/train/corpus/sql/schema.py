"""The tables that questions are about, and what people call them and their columns."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """A column. `kind` is "text", "name", "number" or "date"; `is_phrases` and the like are plural predicates such as "are older than {}"."""

    name: str
    kind: str
    labels: tuple[str, ...]
    values: str = ""
    low: int = 0
    high: int = 0
    step: int = 1
    grouped: bool = False
    adjective: bool = False
    summed: bool = False
    is_phrases: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    average: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table; `nouns` are (singular, plural) pairs, the first one its usual name. `main_date` is the column that "latest" is about."""

    name: str
    nouns: tuple[tuple[str, str], ...]
    columns: tuple[Column, ...]
    person: bool = False
    main_date: str = ""
    special: tuple[tuple[str, str], ...] = field(default=())

    def of_kind(self, *kinds: str) -> list[Column]:
        """The columns of these kinds."""
        return [column for column in self.columns if column.kind in kinds]

    def column(self, name: str) -> Column:
        """The column called `name`; StopIteration where there is none."""
        return next(column for column in self.columns if column.name == name)

    @property
    def label(self) -> Column:
        """The column that names a row: its name or title."""
        return self.of_kind("name")[0]


def _text(name, labels, values, *is_phrases, **more) -> Column:
    return Column(name, "text", labels, values, is_phrases=is_phrases, **more)


def _number(name, labels, low, high, step=1, **more) -> Column:
    return Column(name, "number", labels, low=low, high=high, step=step, **more)


def _date(name, labels, verbs, **more) -> Column:
    return Column(name, "date", labels, is_phrases=verbs, **more)


_NAME = Column("name", "name", ("name",), "name", is_phrases=("are named {}", "are called {}"))
_TITLE = Column("title", "name", ("title",), "course", is_phrases=("are titled {}", "are called {}"))
_PRODUCT_NAME = Column("name", "name", ("name",), "product", is_phrases=("are named {}", "are called {}"))
_EMAIL = Column("email", "email", ("email", "email address"), missing=("have no email", "do not have an email"))
_COUNTRY = _text(
    "country", ("country",), "country", "are from {}", "are in {}", "live in {}", "come from {}", "are based in {}", grouped=True
)
_CITY = _text("city", ("city",), "city", "live in {}", "are from {}", "are in {}", "are based in {}", grouped=True)
_AGE = _number(
    "age", ("age",), 14, 80, is_phrases=("are {} years old", "are aged {}"), more=("are older than {}", "are over {}", "are above {}", "are over the age of {}", "are more than {} years old"),
    less=("are younger than {}", "are under {}", "are below {}", "are under the age of {}", "are less than {} years old"), most=("oldest",), least=("youngest",), average=("How old are {} on average?", "How old is the average {one}?"),
)  # fmt: skip
_PRICE = _number(
    "price", ("price",), 5, 1000, 5, is_phrases=("cost {}", "are priced at {}"), more=("cost more than {}", "are more expensive than {}", "are priced above {}", "cost over {}", "are over {} dollars"),
    less=("cost less than {}", "are cheaper than {}", "are priced below {}", "cost under {}", "are under {} dollars"), most=("most expensive", "priciest", "highest priced"), least=("cheapest", "least expensive", "lowest priced"), average=("How much do {} cost on average?", "What do {} cost on average?"),
)  # fmt: skip
_AMOUNT = dict(
    more=("are over {}", "are above {}", "are larger than {}", "are worth more than {}", "are bigger than {}"), less=("are under {}", "are below {}", "are smaller than {}", "are worth less than {}"),
    most=("largest", "biggest", "highest"), least=("smallest", "lowest"), summed=True,
)  # fmt: skip
_SIGNED_UP = ("signed up", "registered", "joined", "created an account", "were registered", "were created", "opened an account")
_PAID = dict(
    missing=(
        "are not paid",
        "are unpaid",
        "have not been paid",
        "were never paid",
        "are still unpaid",
        "have not been paid yet",
        "have no payment date",
    )
)

TABLES = (
    Table("users", (("user", "users"), ("account", "accounts"), ("member", "members")), (
        _NAME, _EMAIL, _COUNTRY, _CITY, _AGE,
        _text("status", ("status",), "user_status", "are {}", grouped=True, adjective=True),
        _date("registered_at", ("registration date", "sign-up date"), _SIGNED_UP, most=("newest", "latest", "most recent", "most recently registered"), least=("first", "earliest registered")),
        _date("last_login_at", ("last login", "last login date"), ("logged in", "last logged in", "were last seen", "signed in"), missing=("never logged in", "have never logged in", "have not logged in", "have never signed in")),
    ), True, "registered_at"),
    Table("customers", (("customer", "customers"), ("client", "clients"), ("buyer", "buyers")), (
        _NAME, _EMAIL, _COUNTRY, _CITY,
        _date("created_at", ("creation date", "sign-up date"), ("were created", "were added", "joined", "signed up", "registered"), most=("newest", "latest", "most recent"), least=("oldest", "first", "earliest")),
    ), True, "created_at"),
    Table("orders", (("order", "orders"), ("purchase", "purchases")), (
        _number("quantity", ("quantity",), 2, 50, is_phrases=("have a quantity of {}",)),
        _number("amount", ("amount", "value", "order amount"), 10, 2000, 10, **_AMOUNT),
        _text("status", ("status",), "order_status", "are {}", grouped=True, adjective=True),
        _date("ordered_at", ("order date", "date"), ("were placed", "were made", "were ordered", "came in", "were created"), most=("newest", "latest", "most recent", "last"), least=("oldest", "first", "earliest")),
    ), False, "ordered_at"),
    Table("products", (("product", "products"), ("item", "items"), ("article", "articles")), (
        _PRODUCT_NAME, _text("category", ("category",), "category", "are in the {} category", "are in category {}", "belong to {}", "are in {}", "belong to the {} category", grouped=True), _PRICE,
        _number("stock", ("stock", "stock level"), 5, 200, 5, more=("have more than {} in stock", "have over {} units in stock"), less=("have less than {} in stock", "have fewer than {} units in stock", "have under {} in stock"), summed=True),
    ), special=(("are out of stock", "stock = 0"), ("are sold out", "stock = 0"), ("have no stock", "stock = 0"), ("are in stock", "stock > 0"), ("are available", "stock > 0"))),
    Table("employees", (("employee", "employees"), ("staff member", "staff"), ("worker", "workers"), ("staff member", "staff members")), (
        _NAME, _text("title", ("title", "job title"), "job", "have the title {}", "work as {}", "have the job title {}", grouped=True),
        _number("salary", ("salary", "pay"), 1000, 120000, 500, more=("earn more than {}", "make more than {}", "earn over {}", "are paid more than {}", "make over {}"), less=("earn less than {}", "make less than {}", "earn under {}", "are paid less than {}"),
                most=("best paid", "highest paid", "top earning", "best-paid"), least=("lowest paid", "worst paid", "lowest-paid"), average=("How much do {} earn on average?", "What do {} earn on average?", "How much does the average {one} make?"), summed=True),
        _date("hired_at", ("hire date", "hiring date", "start date"), ("were hired", "joined", "started", "were employed", "joined the company", "started working"), most=("newest", "latest", "most recent", "most recently hired"), least=("longest serving", "first", "earliest hired")),
    ), True, "hired_at"),
    Table("departments", (("department", "departments"), ("team", "teams")), (
        Column("name", "name", ("name",), "department", is_phrases=("are named {}", "are called {}")), _text("location", ("location",), "city", "are located in {}", "are in {}", "are based in {}", grouped=True),
    )),
    Table("invoices", (("invoice", "invoices"), ("bill", "bills")), (
        _number("amount", ("amount", "value"), 10, 5000, 10, **_AMOUNT), _text("status", ("status",), "invoice_status", "have the status {}", "are in status {}", grouped=True, adjective=True),
        _date("due_at", ("due date",), ("are due", "were due")), _date("paid_at", ("payment date",), ("were paid", "got paid", "have been paid"), **_PAID),
    ), special=(("unpaid~", "paid_at IS NULL"), ("paid~", "paid_at IS NOT NULL"), ("overdue~", "paid_at IS NULL AND due_at < CURRENT_DATE"), ("are overdue", "paid_at IS NULL AND due_at < CURRENT_DATE"), ("are past due", "paid_at IS NULL AND due_at < CURRENT_DATE"), ("are already paid", "paid_at IS NOT NULL"))),
    Table("payments", (("payment", "payments"), ("transaction", "transactions")), (
        _number("amount", ("amount", "value"), 10, 5000, 10, **_AMOUNT), _text("method", ("method", "payment method"), "method", "were made by {}", "were paid by {}", "were made with {}", "use {}", grouped=True),
        _date("paid_at", ("payment date", "date"), ("were made", "were received", "came in"), most=("newest", "latest", "most recent", "last"), least=("oldest", "first", "earliest")),
    ), False, "paid_at"),
    Table("suppliers", (("supplier", "suppliers"), ("vendor", "vendors")), (
        Column("name", "name", ("name",), "supplier", is_phrases=("are named {}", "are called {}")), _text("country", ("country",), "country", "are from {}", "are in {}", "are based in {}", "are located in {}", grouped=True),
    )),
    Table("reviews", (("review", "reviews"), ("product review", "product reviews")), (
        _number("rating", ("rating",), 1, 5, is_phrases=("have a rating of {}", "have {} stars", "give {} stars"), more=("have more than {} stars", "are rated above {}", "are better than {} stars"), less=("have less than {} stars", "are rated below {}", "are worse than {} stars"), most=("best", "highest rated", "best rated"), least=("worst", "lowest rated")),
        _date("created_at", ("date", "creation date"), ("were written", "were created", "were posted", "were left"), most=("newest", "latest", "most recent"), least=("oldest", "first", "earliest")),
    ), False, "created_at"),
    Table("students", (("student", "students"), ("pupil", "pupils")), (
        _NAME, _number("grade", ("grade",), 1, 12, is_phrases=("are in grade {}", "have grade {}"), grouped=True), _AGE,
        _date("enrolled_at", ("enrollment date",), ("enrolled", "were enrolled", "joined", "started"), most=("newest", "latest", "most recent", "most recently enrolled"), least=("first", "earliest enrolled")),
    ), True, "enrolled_at"),
    Table("courses", (("course", "courses"), ("class", "classes")), (
        _TITLE, _text("teacher", ("teacher",), "name", "are taught by {}", "are given by {}", grouped=True),
        _number("credits", ("number of credits", "credit count"), 2, 12, is_phrases=("have {} credits", "are worth {} credits"), more=("have more than {} credits", "are worth more than {} credits", "give over {} credits"), less=("have less than {} credits", "have fewer than {} credits", "are worth less than {} credits")),
    )),
    Table("enrollments", (("enrollment", "enrollments"), ("course enrollment", "course enrollments")), (
        _number("score", ("score",), 10, 100, is_phrases=("have a score of {}",), more=("scored more than {}", "scored above {}"), less=("scored less than {}", "scored below {}"), most=("best", "highest scoring"), least=("worst", "lowest scoring"), missing=("have no score", "have no score yet")),
    )),
    Table("books", (("book", "books"),), (
        Column("title", "name", ("title",), "course", is_phrases=("are titled {}", "are called {}")), _text("author", ("author", "writer"), "author", "were written by {}", "are by {}", "are from {}", grouped=True),
        _text("genre", ("genre",), "genre", "are in the {} genre", "have the genre {}", grouped=True, adjective=True),
        _number("year", ("year", "publication year"), 1950, 2024, is_phrases=("were published in {}", "are from {}", "came out in {}"), more=("were published after {}", "came out after {}", "were written after {}"), less=("were published before {}", "came out before {}", "were written before {}"), most=("newest", "latest", "most recent"), least=("oldest", "earliest"), grouped=True), _PRICE,
    )),
)  # fmt: skip

BY_NAME = {table.name: table for table in TABLES}
