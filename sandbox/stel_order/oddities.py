"""The awkward values real accounts hold, each at a fixed low index so that every size has them.

Only plain values stand here; odd links, lines, stamps and payments are in the modules that compute
them. ODDITIES.md lists all of them with their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONG_COMMENT = ("Cliente histórico; ver hoja de ruta, llaves en conserjería. " * 84)[:5_000]
HTML = "<p>Revisar <b>cada 6 meses</b>;&nbsp;sin <i>cargo</i>.</p><ul><li>Filtro</li></ul>"
HOSTILE = "<script>alert('x')</script> & Hijos \"SL\""
BREAKS = "Llamar antes.\r\nSegundo timbre.\n\n\tPortero: Amparo."

Values = Mapping[int, Mapping[str, Any]]

_CLIENTS: Values = {
    0: {
        "name": HOSTILE,
        "legal-name": 'Pérez "El Rápido" & Hijos, S.L.',
        "tax-identification-number": "B12345674",
    },
    1: {
        "name": "Bar El Rincón 🍤☀️",
        "legal-name": "Rincón de Levante SL",
        "website": "www.elrincon.example",
    },
    2: {
        "email": "hola@soloemail.example",
        "phone": "961 234 567",
        "website": "https://soloemail.example/?a=1&b=2",
    },
    3: {
        "email": None,
        "phone": None,
        "phone2": None,
        "name": "Cliente de mostrador",
        "legal-name": None,
    },
    4: {"name": '=HYPERLINK("http://evil.example";"Pulsa")', "comments": "@SUM(A1:A9)"},
    5: {
        "name": "Talleres Peris  ",
        "email": " INFO@TALLERESPERIS.EXAMPLE ",
        "legal-name": "  Talleres Peris SL",
    },
    6: {
        "legal-name": None,
        "tax-identification-number": "es-b12345674",
        "name": "Comunidad C/ Colón, 12",
    },
    7: {"comments": LONG_COMMENT, "tax-identification-number": "b-12.345.674"},
    8: {"comments": BREAKS, "phone": "96 123 45 67", "phone2": "+34 600-000-001"},
    9: {
        "email": "sin-arroba.example",
        "tax-identification-number": "12345678z",
        "external-id": "ERP-0009",
    },
    10: {"email": "", "phone": "", "comments": "", "website": "", "tax-identification-number": ""},
    12: {
        "name": "Plomberie Müller & Cie",
        "tax-identification-number": "FR40303265045",
        "phone": "+33 1 23 45 67 89",
    },
    13: {
        "name": "Frutas Llopis",
        "legal-name": "Frutas Llopis SL",
        "tax-identification-number": "B46000018",
    },
    14: {
        "name": "FRUTAS LLOPIS, S.L.",
        "legal-name": "Frutas Llopis S.L.",
        "tax-identification-number": "ESB46000018",
    },
    15: {
        "name": "Harbor Cooling Inc.",
        "legal-name": "Harbor Cooling Inc.",
        "currency-code": "USD",
    },
    16: {
        "name": "Núria O'Callaghan i Ferrer",
        "legal-name": "",
        "tax-identification-number": "00000014Z",
    },
}
_CONTACTS: Values = {
    0: {"email": "MARIA.GARCIA@EXAMPLE.COM", "phone": "+34600000010"},
    1: {"email": "juan.perez@", "phone": "600000011"},
    2: {"email": " ana lopez@example.com ", "phone": None},
    3: {"phone": "96 123 45 67", "fax": "961234568"},
    4: {"phone": "+34 600-000-001"},
    5: {"phone": "0034600000002", "email": None},
    6: {"phone": "600000003 (Juan)"},
    7: {"phone": "", "email": "", "position": "", "comments": ""},
    8: {"phone": "600 000 004 / 961 234 567"},
    10: {"name": "Pepe", "position": None},
    13: {"email": "compras@duo.example; ventas@duo.example"},
    14: {"name": "Óscar Güell", "email": "compartido@duo.example"},
    15: {"name": "Inés Peris", "email": "compartido@duo.example", "comments": BREAKS},
    16: {"name": '<b>María</b> "Mari" & Cía 🙂', "comments": LONG_COMMENT},
}
_ADDRESSES: Values = {
    0: {
        "postal-code": "03001",
        "city-town": "Alacant/Alicante",
        "province": "Alicante",
        "country-code": "ES",
    },
    1: {"address-data": None, "city-town": "Torrevieja", "province": None, "postal-code": "03181"},
    2: {
        "address-data": None,
        "extra-data": None,
        "city-town": None,
        "province": None,
        "postal-code": None,
        "country-code": None,
        "latitude": None,
        "longitude": None,
        "name": None,
    },
    3: {
        "country-code": "FR",
        "city-town": "Perpignan",
        "province": "Pyrénées-Orientales",
        "postal-code": "66000",
    },
    4: {"country-code": "PT", "city-town": "Évora", "province": "Évora", "postal-code": "7000-503"},
    5: {"address-data": 'C/ Mayor, nº 5, 3º-B "Edif. Sol" & anexo', "postal-code": ""},
    6: {"latitude": 0, "longitude": 0, "external-id": "DIR-6"},
}
_PRODUCTS: Values = {
    0: {"description": HTML, "location": "Estante 3"},
    1: {"sales-price": 0, "sales-minimum-price": 0, "purchase-price": 0, "description": None},
    3: {"inactive": True},
    5: {"product-category-id": None, "product-category-path": None},
    8: {"name": 'Tornillo M8 <3 & "inox" 🔩', "barcode": "", "location": ""},
    9: {"name": "=1+1", "private-comments": LONG_COMMENT},
    10: {"promotional": True, "composite": True, "discount-percentage": 12.5},
    11: {"sales-price": 0.005, "purchase-price": 0.0033},
    12: {"barcode": "8400000000001"},
    14: {"barcode": "8400000000001"},
}
_EVENTS: Values = {
    3: {"event-state": "REFUSED"},
    5: {"subject": None, "description": ""},
    6: {"subject": 'Llamar <urgente> & "confirmar" 📞', "location": None},
    9: {"description": LONG_COMMENT},
    16: {
        "calendar-id": None,
        "calendar-path": None,
        "event-type-id": None,
        "event-type-path": None,
    },
}
_INCIDENTS: Values = {
    0: {"name": "Sin agua caliente", "description": HTML},
    1: {"name": None, "incident-type-id": None, "incident-type-path": None},
    2: {"assignee-id": None, "assignee-path": None, "assigned-date": None, "description": None},
    6: {"description": BREAKS, "phone": "600000003 (Juan)"},
}
_ASSETS: Values = {
    0: {
        "description": HTML,
        "warranty-start-date": "2023-05-10T00:00:00+0000",
        "warranty-end-date": "2021-05-10T00:00:00+0000",
    },
    1: {
        "warranty-start-date": None,
        "warranty-end-date": None,
        "brand": None,
        "model": None,
        "serial-number": None,
    },
    2: {"serial-number": "SN-REPETIDA-01", "name": 'Caldera "sala 2" & ACS'},
    6: {"serial-number": "SN-REPETIDA-01"},
    7: {"name": None, "serial-number": "", "identifier": ""},
    8: {"brand": "DAIKIN ", "model": "=FTXM35R"},
}

ODD_VALUES: Mapping[str, Values] = {
    "clients": _CLIENTS,
    "potentialClients": {
        0: {"legal-name": None, "tax-identification-number": None},
        1: {"name": "Futuro & Asociados"},
    },
    "suppliers": {1: {"email": None, "phone": None}},
    "contacts": _CONTACTS,
    "addresses": _ADDRESSES,
    "products": _PRODUCTS,
    "services": {
        0: {"description": HTML},
        1: {"sales-price": 0},
        2: {"inactive": True},
        5: {"description": ""},
    },
    "salesEstimates": {
        0: {"comments": HTML, "title": HOSTILE},
        1: {"comments": LONG_COMMENT, "addendum": BREAKS},
        2: {"title": "", "comments": ""},
        5: {"external-id": "WEB-5", "signed": True, "email-read-count": 3},
    },
    "ordinaryInvoices": {10: {"comments": BREAKS, "private-comments": "No reclamar <aún>"}},
    "incidents": _INCIDENTS,
    "assets": _ASSETS,
    "events": _EVENTS,
    "expenses": {0: {"description": 'Cena "equipo" & taxi'}, 2: {"description": None}},
}
_NONE: Mapping[str, Any] = {}


def odd_values(collection: str, index: int) -> Mapping[str, Any]:
    """What to write over the ordinary values of this row."""
    return ODD_VALUES.get(collection, {}).get(index, _NONE) if index < 24 else _NONE
