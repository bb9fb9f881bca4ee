"""The currencies of the account: read only, custom ones exist only in the web application."""

from __future__ import annotations

from sandbox.pipedrive.call import Answer, Call, Operation, data

_KNOWN = (
    ("EUR", "Euro", 2, "€"),
    ("USD", "US Dollar", 2, "$"),
    ("GBP", "Pound Sterling", 2, "£"),
    ("CHF", "Swiss Franc", 2, "CHF"),
    ("MXN", "Mexican Peso", 2, "MX$"),
    ("JPY", "Japanese Yen", 0, "¥"),
    ("MAD", "Moroccan Dirham", 2, "MAD"),
)
SYMBOLS = {code: symbol for code, _, _, symbol in _KNOWN}
CODES = frozenset(code for code, *_ in _KNOWN)


def _list(call: Call) -> Answer:
    term = call.query.get("term", "").casefold()
    return data(
        [
            {
                "id": at,
                "code": code,
                "name": name,
                "decimal_points": points,
                "symbol": symbol,
                "active_flag": True,
                "is_custom_flag": False,
            }
            for at, (code, name, points, symbol) in enumerate(_KNOWN, 1)
            if term in name.casefold() or term in code.casefold()
        ]
        or None
    )


OPERATIONS = [
    Operation("getCurrencies", "v1", "GET", "/currencies", 20, _list, frozenset({"term"}))
]
