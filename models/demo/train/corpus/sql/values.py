"""The values that questions filter by. A proper name has one spelling; other words are copied as typed."""

PROPER = {
    "country": "Germany France Italy Spain Portugal Poland Norway Sweden Finland Denmark Ireland Greece Turkey Austria Belgium Switzerland "
    "Japan China India Vietnam Thailand Egypt Kenya Nigeria Morocco Canada Mexico Brazil Chile Argentina Peru Australia Hungary "
    "Netherlands Ukraine Romania Indonesia Singapore Israel Colombia|United States|United Kingdom|New Zealand|South Korea|South Africa",
    "city": "Berlin Paris Rome Madrid Lisbon Warsaw Oslo Stockholm Helsinki Dublin Athens Vienna Zurich London Tokyo Mumbai Cairo Nairobi "
    "Lagos Toronto Chicago Boston Seattle Sydney Amsterdam Munich Hamburg Milan Barcelona Prague Budapest Dubai|New York|San Francisco",
    "name": "Anna Maria John Peter David Laura Tom Alice Bob Emma",
    "department": "Sales Marketing Engineering Finance Support Legal Research Design Operations HR IT",
    "job": "Manager Engineer Developer Analyst Designer Accountant Director Consultant Intern",
    "course": "Biology Physics Chemistry History Algebra Geometry Statistics Economics Philosophy Music",
    "author": "Tolkien Orwell Austen Tolstoy Dickens Hemingway Kafka Asimov",
    "supplier": "Acme Globex Initech Umbrella",
}

WORDS = {
    "user_status": "active inactive blocked suspended pending verified deleted banned",
    "order_status": "pending shipped delivered cancelled completed returned refunded paid open",
    "invoice_status": "open draft cancelled pending sent",
    "method": "card cash paypal|bank transfer|credit card",
    "category": "electronics books toys clothing furniture food shoes sports garden music games kitchen beauty jewelry|home decor|office supplies",
    "genre": "fantasy romance horror crime mystery science history biography poetry thriller|science fiction",
    "product": "laptop phone keyboard mouse chair desk lamp camera monitor tablet printer headphones",
}


def _split(text: str) -> list[str]:
    words, *phrases = text.split("|")
    return words.split() + phrases


_ALL = {kind: _split(text) for kind, text in (PROPER | WORDS).items()}


def values_of(kind: str) -> list[str]:
    """Every value of one kind, such as "country"."""
    return _ALL[kind]


def is_proper(kind: str) -> bool:
    """Whether values of the kind keep their spelling however the question writes them."""
    return kind in PROPER
