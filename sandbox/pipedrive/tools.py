"""What clients ask for to draw their screens (v1): helpers for filters, the user's settings."""

from __future__ import annotations

from sandbox.pipedrive.call import Answer, Call, Operation, data
from sandbox.pipedrive.filtering import OPERATORS

_WORDS = {
    "=": "is",
    "!=": "is not",
    "<": "is less than",
    ">": "is more than",
    "<=": "is less or equal to",
    ">=": "is more or equal to",
    "LIKE '$%'": "starts with",
    "LIKE '%$%'": "contains",
    "NOT LIKE '$%'": "does not start with",
    "IS NULL": "is empty",
    "IS NOT NULL": "is not empty",
}
_ORDERED = ("=", "!=", "<", ">", "<=", ">=", "IS NULL", "IS NOT NULL")
_TEXTS = ("=", "!=", *(one for one in OPERATORS if "LIKE" in one), "IS NULL", "IS NOT NULL")
_CHOICES = ("=", "!=", "IS NULL", "IS NOT NULL")
_BY_TYPE = {
    **dict.fromkeys(("int", "double", "monetary", "date", "daterange"), _ORDERED),
    **dict.fromkeys(("time", "timerange"), _ORDERED),
    **dict.fromkeys(("varchar", "varchar_auto", "text", "phone", "address"), _TEXTS),
    **dict.fromkeys(("enum", "set", "user", "org", "people", "stage", "status"), _CHOICES),
}
_SETTINGS = {
    "marketplace_team": False,
    "list_limit": 100,
    "beta_app": False,
    "prevent_salesphone_callto_override": False,
    "file_upload_destination": "s3",
    "callto_link_syntax": "callto:[number]",
    "autofill_deal_expected_close_date": False,
    "person_duplicate_condition": "name && (org_id || email || phone)",
}


def _helpers(_: Call) -> Answer:
    """The operators that a saved filter takes, by the type of the field."""
    words = {kind: {one: _WORDS[one] for one in known} for kind, known in _BY_TYPE.items()}
    return data({"operators": words})


def _settings(_: Call) -> Answer:
    return data(_SETTINGS)


def _connections(_: Call) -> Answer:
    """The user has connected nothing."""
    return data({})


OPERATIONS = [
    Operation("getFilterHelpers", "v1", "GET", "/filters/helpers", 20, _helpers),
    Operation("getUserSettings", "v1", "GET", "/userSettings", 2, _settings),
    Operation("getUserConnections", "v1", "GET", "/userConnections", 20, _connections),
]
