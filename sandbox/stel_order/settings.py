"""The small tables of the account: states, types, taxes, series."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sandbox.stel_order.layout import DOCUMENTS, HOST, PREFIXES
from sandbox.stel_order.staff import CALENDARS, EMPLOYEES, ROLES, TEMPO

Row = dict[str, Any]
WRITTEN = "2019-01-07T08:00:00+0000"

_STATES = {
    "salesEstimates": (
        "Pendiente",
        "En curso",
        "Aceptada",
        "Rechazada",
        "Cerrada",
        "Pte. señal & firma",
    ),
    "salesOrders": ("Pendiente", "En curso", "Cerrado", "Rechazado"),
    "salesDeliveryNotes": ("Pendiente de facturar", "Facturada"),
    "ordinaryInvoices": ("Emitida",),
    "refundInvoices": ("Emitida",),
    "workOrders": ("Pendiente", "En curso", "Cerrado", "Rechazado"),
    "workEstimates": ("Pendiente", "Aceptado", "Rechazado", "Cerrado"),
    "workDeliveryNotes": ("Pendiente de facturar", "Facturada"),
    "purchaseOrders": ("Pendiente", "Recibido"),
    "purchaseDeliveryNotes": ("Recibido",),
    "purchaseInvoices": ("Recibida",),
}
_COLOURS = ("#F5A623", "#4D9CF8", "#7ED321", "#D0021B", "#9B9B9B", "#BD10E0")


def state_type(collection: str) -> str:
    """The word documentStates uses for a kind of document: capitals, no separators, singular."""
    return collection.removesuffix("s").upper()


def _document_states() -> list[Row]:
    rows: list[Row] = []
    for collection in DOCUMENTS:
        for order, name in enumerate(_STATES[collection]):
            colour = {"color": _COLOURS[order], "color-text": "#FFFFFF"}
            kind = {"name": name, "type": state_type(collection), "order": order}
            rows.append({"id": 61_001 + len(rows)} | kind | colour)
    return rows


def _named(first_id: int, *names: str) -> list[Row]:
    return [{"id": first_id + place, "name": name} for place, name in enumerate(names)]


def _coloured(first_id: int, *names: str) -> list[Row]:
    return [row | {"color": _COLOURS[place]} for place, row in enumerate(_named(first_id, *names))]


def _payment_options() -> list[Row]:
    plan = (
        ("Transferencia", "Transferencia a 30 días", True, True, False),
        ("Recibo domiciliado", "", False, True, True),
        ("Efectivo", None, False, False, False),
        ("Tarjeta", None, False, False, False),
        ("Pagaré", None, False, True, False),
    )
    keys = ("name", "description", "default", "linked-to-bank-account", "subject-to-sepa-payment")
    return [
        {"id": 106_700 + place, **dict(zip(keys, row, strict=True)), "mxn-cfdi-key": None}
        for place, row in enumerate(plan)
    ]


def _taxes() -> list[Row]:
    lines = (
        ("IVA 21%", 21),
        ("IVA 10%", 10),
        ("IVA 4%", 4),
        ("Exento", 0),
        ("Recargo de equivalencia 5,2%", 5.2),
    )
    return [
        {"id": 37_201 + place, "tax-name": name, "tax-percentage": rate, "default": place == 0}
        for place, (name, rate) in enumerate(lines)
    ]


def _expense_states() -> list[Row]:
    return [
        {
            "id": 62_001 + place,
            "name": name,
            "type": "EXPENSE",
            "order": place,
            "color": _COLOURS[place],
        }
        | {"color-text": "#FFFFFF"}
        for place, name in enumerate(("Pendiente", "Aprobado", "Pagado"))
    ]


_CATEGORIES = (
    "Filtros", "Climatización", "Calefacción", "Fontanería", "Electricidad", "Varios & otros",
)  # fmt: skip
_FAMILIES = ("Comunidades", "Particulares", "Empresas", "Administración pública", "Hostelería")
_TERMS = {
    "Contado": None,
    "30 días": "A 30 días fecha factura",
    "30/60 días": "",
    "Fin de mes": None,
}
_BANKS = {"Cuenta principal": "ES9121000418450200051332", "Crédito": "ES7100302053091234567895"}
_SPENDING = ("Combustible", "Dietas", "Peajes", "Oficina")


def _catalogue_tables() -> dict[str, list[Row]]:
    return {
        "accountCategories": _named(410, *_FAMILIES),
        "productCategories": _named(15, *_CATEGORIES),
        "warehouses": [
            {"id": -2, "name": "Almacén general", "reference": None},
            {"id": 4_101, "name": "Furgoneta 1", "reference": "FUR1"},
            {"id": 4_102, "name": "Furgoneta 2", "reference": ""},
        ],
        "rates": [
            {"id": -2, "name": "Tarifa de categoría"},
            *_named(2_807, "Tarifa taller", "Distribuidor", "VIP -10%"),
        ],
        "serialNumbers": [{"id": 5_201 + place} for place in range(len(PREFIXES))],
    }


def _work_tables() -> dict[str, list[Row]]:
    return {
        "employees": [dict(row) for row in EMPLOYEES],
        "employeeRoles": [{"id": ident} for ident in ROLES],
        "tempoEmployees": [{"id": ident} for ident in TEMPO],
        "calendars": [dict(row) for row in CALENDARS],
        "eventTypes": _coloured(16_800, "Visita", "Reunión", "Llamada", "Instalación"),
        "incidentTypes": _coloured(3_101, "Avería", "Mantenimiento", "Instalación", "Garantía"),
        "incidentStates": _named(63_001, "Pendiente", "Atendida", "Resuelta", "Rechazada"),
        "documentStates": _document_states(),
        "deliveryOptions": [{"id": 71}, {"id": 72}],
    }


def _money_tables() -> dict[str, list[Row]]:
    terms, banks = _named(3_001, *_TERMS), _named(562_100, *_BANKS)
    return {
        "taxLines": _taxes(),
        "paymentOptions": _payment_options(),
        "paymentTerms": [row | {"description": _TERMS[row["name"]]} for row in terms],
        "bankAccounts": [
            row | {"account": _BANKS[row["name"]], "default": row["id"] == 562_100} for row in banks
        ],
        "expenseCategories": [row | {"type": "EXPENSE"} for row in _named(77, *_SPENDING)],
        "expenseStates": _expense_states(),
    }


def _complete(collection: str, row: Row) -> Row:
    common = {"id": row["id"], "path": f"{HOST}/{collection}/{row['id']}", "deleted": False}
    return common | {"utc-last-modification-date": WRITTEN} | row


SETTINGS: Mapping[str, tuple[Row, ...]] = MappingProxyType(
    {
        name: tuple(_complete(name, row) for row in rows)
        for name, rows in (_catalogue_tables() | _work_tables() | _money_tables()).items()
    }
)
SETTINGS_ROWS = sum(len(rows) for rows in SETTINGS.values())
SERIES: Mapping[str, int] = MappingProxyType(
    {name: 5_201 + place for place, name in enumerate(PREFIXES)}
)
STATES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        name: tuple(
            row["id"] for row in SETTINGS["documentStates"] if row["type"] == state_type(name)
        )
        for name in DOCUMENTS
    }
)
TAX_IDS: Mapping[int, int] = MappingProxyType({21: 37_201, 10: 37_202, 4: 37_203, 0: 37_204})
