"""Steps for numbers and amounts of money: `money.*`.

Every number may come as text with Spanish or English separators. A text that both would read, but
differently ("1.234"), is refused; `money.amount` with a `style` settles it.
"""

import re
from decimal import Decimal
from typing import Any

from .text import (
    AS_IT_IS,
    empty,
    grouped,
    quoted,
    refusal,
    rounded,
    shaped,
    to_decimal,
)

__all__ = [
    "amount",
    "discounts",
    "entries",
    "format",
    "gap",
    "negate",
    "of",
    "percent",
    "sum",
    "with_currency",
]

_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
_AMOUNT, _PRICE = ("value", "currency"), ("currency", "price", "cost")
# currencies without cents
_WHOLE = frozenset({"CLP", "ISK", "JPY", "KRW", "PYG", "VND"})

_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP
BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB
EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD
JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU
MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY
TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
ZWG ZWL
"""  # ISO 4217, with some that ended lately
_CURRENCIES = frozenset(_CODES.split())


def check_currency(code: str) -> None:
    """Raise ValueError for a code that no currency has; a code in a record may be one that its
    platform made up.
    """
    # X.. are for metals, funds and tests
    if code not in _CURRENCIES and not code.startswith("X"):
        raise ValueError(
            f"there is no currency {quoted(code)}; give its code of three letters, such as EUR"
        )


def _currency(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise refusal(code, "is not a currency code such as EUR")
    return code


def _float(number: Decimal | None) -> float | None:
    return None if number is None else float(number + 0)  # + 0 turns -0 into 0


def amount(value: Any, *, decimals: int = 2, style: str = "") -> float | None:
    """Read a number and round it, halves away from zero.

    `decimals` is how many are kept; `style` says how a text is written: es (1.234,50), en
    (1,234.50) or "" to tell it from the text.

    ```yaml
    using: {money.amount: {decimals: 2}}
    ```
    `"1.234,505 €"` becomes `1234.51`.
    """
    number = to_decimal(value, style)
    return None if number is None else float(rounded(number, decimals))


def negate(value: Any) -> float | None:
    """Turn the sign of a number.

    ```yaml
    using: money.negate
    ```
    `12.5` becomes `-12.5`.
    """
    number = to_decimal(value)
    return None if number is None else _float(-number)


def sum(value: Any, *, field: str = "") -> float | None:
    """Add up a list of numbers without rounding errors; what is absent or null is left out.

    `field` names the number in each item when the items are dicts.

    ```yaml
    using: {money.sum: amount}
    ```
    `[{"amount": 0.1}, {"amount": 0.2}, {}]` becomes `0.3`.
    """
    if empty(value):
        return None
    if not isinstance(value, list):
        raise refusal(value, "is not a list of numbers")
    numbers = [
        number
        for item in value
        if (number := _number_of(item, field)) is not None
    ]
    total = Decimal(0)
    for number in numbers:
        total += number
    return _float(total) if numbers else None


def _number_of(item: Any, field: str) -> Decimal | None:
    if isinstance(item, dict) and not field:
        raise refusal(
            item, "is not a number; say with field which of its numbers to take"
        )
    if field and not isinstance(item, dict | None):
        raise ValueError(f"{quoted(item)} has no field {quoted(field)}")
    return to_decimal(item.get(field) if isinstance(item, dict) else item)


def discounts(value: Any) -> float | None:
    """Put several discounts in percent together, each of what the others have left.

    The value is a list of percentages or a dict of them; what is absent or null is none.

    ```yaml
    from: {line: line.discount-percentage, document: discount-percentage}
    using: money.discounts
    ```
    `{"line": 10, "document": 15}` becomes `23.5`.
    """
    if empty(value):
        return None
    found = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(found, list):
        raise refusal(value, "is not a list of percentages")
    return _float(100 - 100 * _left(found))


def _left(percentages: list[Any]) -> Decimal:
    """The share that discounts in percent leave."""
    left = Decimal(1)
    for one in percentages:
        left *= 1 - (to_decimal(one) or Decimal(0)) / 100
    return left


def gap(
    value: Any,
    *,
    price: str,
    units: str,
    discount: str = "",
    only: dict[str, str] = AS_IT_IS,
) -> float | None:
    """Say how far a total is from what its lines come to; nothing where the two agree.

    The value is a dict with `total`, `lines` and, in percent, a `discount` on all of them. `price`,
    `units` and `discount` name the fields of a line, whose amount is rounded to cents; `only` says
    which lines count, by what their fields hold.

    ```yaml
    from: {total: net, lines: lines, discount: discount}
    using: {money.gap: {price: price, units: units, discount: off, only: {deleted: "false"}}}
    ```
    `{"total": 19, "lines": [{"price": 5, "units": 4, "deleted": false}]}` becomes `-1.0`.
    """
    if empty(value):
        return None
    if not isinstance(value, dict) or set(value) - {
        "total",
        "lines",
        "discount",
    }:
        raise refusal(value, "is not a total with its lines")
    total = to_decimal(value.get("total"))
    if total is None:
        return None

    lines = value.get("lines") or []
    if not isinstance(lines, list) or not all(
        isinstance(one, dict) for one in lines
    ):
        raise refusal(lines, "is not a list of lines")
    for name in (price, units, *only):
        if lines and not any(name in line for line in lines):
            raise ValueError(f"no line has a field {name!r}")
    for line in lines:
        if all(_holds(line.get(name), wanted) for name, wanted in only.items()):
            numbers = [
                to_decimal(line.get(name)) or Decimal(0)
                for name in (price, units)
            ]
            left = _left([line.get(discount), value.get("discount")])
            total -= rounded(numbers[0] * numbers[1] * left, 2)
    return _float(rounded(total, 2)) or None


def _holds(value: Any, wanted: str) -> bool:
    return str(value).lower() == wanted.lower()


def percent(
    value: Any, *, decimals: int = 2, fraction: bool = False
) -> float | None:
    """Read a percentage as a plain number.

    `decimals` is how many are kept; `fraction: true` takes 0.21 for 21 %.

    ```yaml
    using: money.percent
    ```
    `"21 %"` becomes `21.0`.
    """
    marked = isinstance(value, str) and value.rstrip().endswith("%")
    number = to_decimal(
        value.rstrip().removesuffix("%") or "%" if marked else value
    )
    if number is None:
        return None
    return float(
        rounded(number * 100 if fraction and not marked else number, decimals)
    )


def of(
    value: Any, *, currency: str, shape: dict[str, str] = AS_IT_IS
) -> dict[str, Any] | None:
    """Put a number together with its currency.

    `currency` is the code of three letters. The result has the fields value and currency;
    `shape` names those of another destination, and which of the two each holds: `{amount: value,
    currency_code: currency}`.

    ```yaml
    using: {money.of: EUR}
    ```
    `12.5` becomes `{"value": 12.5, "currency": "EUR"}`.
    """
    code, number = _currency(currency), _float(to_decimal(value))
    return (
        None
        if number is None
        else shaped({"value": number, "currency": code}, shape, _AMOUNT)
    )


def entries(
    value: Any, *, currency: str, shape: dict[str, str] = AS_IT_IS
) -> list[dict[str, Any]] | None:
    """Make the price list of one product, which has one entry.

    The value is a price, or a dict with `price`, `cost` or both; `currency` is the code of three
    letters. The entry has the fields currency, price and cost; `shape` names those of another
    destination, and which of the three each holds: `{unit_price: price, currency_code:
    currency}`.

    ```yaml
    using: {money.entries: EUR}
    ```
    `{"price": 10, "cost": null}` becomes `[{"currency": "EUR", "price": 10.0}]`.
    """
    code = _currency(currency)
    given = value if isinstance(value, dict) else {"price": value}
    read = {
        part: _float(to_decimal(given.get(part))) for part in ("price", "cost")
    }
    known = {
        part: number for part, number in read.items() if number is not None
    }
    return (
        [shaped({"currency": code, **known}, shape, _PRICE)] if known else None
    )


def format(
    value: Any, *, currency: str = "EUR", style: str = "es"
) -> str | None:
    """Write an amount of money for people.

    `currency` is the code of three letters; `style` is es (1.234,50 €) or en (€1,234.50).

    ```yaml
    using: {money.format: EUR}
    ```
    `1234.5` becomes `"1.234,50 €"`.
    """
    # A wrong style is refused even where there is no number.
    grouped(Decimal(0), 0, style)
    code, number = _currency(currency), to_decimal(value)
    if number is None:
        return None
    text = grouped(number, 0 if code in _WHOLE else 2, style)
    symbol = _SYMBOLS.get(code)
    if style == "en" and symbol:
        return (
            f"-{symbol}{text[1:]}"
            if text.startswith("-")
            else f"{symbol}{text}"
        )
    return f"{text} {symbol or code}"


def with_currency(
    value: Any, *, shape: dict[str, str] = AS_IT_IS
) -> dict[str, Any] | None:
    """Pair an amount with the currency the record itself names; no amount gives nothing.

    The result has the fields value and currency; `shape` names those of another destination, and
    which of the two each holds: `{amount: value, currency_code: currency}`.

    ```yaml
    using: money.with_currency
    ```
    `{"value": 12.5, "currency": "usd"}` becomes `{"value": 12.5, "currency": "USD"}`.
    """
    if empty(value):
        return None
    if not isinstance(value, dict) or set(value) - {"value", "currency"}:
        raise refusal(
            value,
            "is not an amount with its currency; give {value: ..., currency: ...}",
        )
    found = amount(value.get("value"))
    if found is None:
        return None
    code = _currency(str(value.get("currency", "")).upper())
    return shaped({"value": found, "currency": code}, shape, _AMOUNT)
