"""The people who work in the account; their e-mails pair with the Pipedrive emulator's users."""

from __future__ import annotations

from typing import Any

from sandbox.stel_order.layout import HOST

_DOMAIN = "instalaciones-levante.example"
ROLES = (11, 12, 13)
TEMPO = (21, 22)


def _employee(
    ident: int, name: str, surname: str | None, email: str | None, position: str | None
) -> dict[str, Any]:
    """The address goes in whole, "" and None included: both occur in real accounts."""
    return {
        "id": ident,
        "name": name,
        "surname": surname,
        "email": email,
        "user-name": email.partition("@")[0] if email else None,
        "position": position,
        "full-name": f"{name} {surname}" if surname else name,
        "phone": f"6000001{ident % 100:02d}" if ident % 3 else None,
        "employee-role-id": ROLES[ident % 3] if ident != 8_107 else None,
    }


EMPLOYEES: tuple[dict[str, Any], ...] = (
    _employee(8_100, "Lucía", "Ferrer", f"lucia.ferrer@{_DOMAIN}", "Gerente"),
    _employee(8_101, "Javier", "Ortega", f"javier.ortega@{_DOMAIN}", "Comercial"),
    _employee(8_102, "Marta", "Soler", f"marta.soler@{_DOMAIN}", "Administración"),
    _employee(8_103, "Técnico", "Uno", f"tecnico@{_DOMAIN}", "Técnico"),
    _employee(8_104, "Técnico", "Dos", f"tecnico@{_DOMAIN}", "Técnico"),  # shared login
    _employee(8_105, "Comercial", None, f"comercial@{_DOMAIN}", None),
    _employee(8_106, "Antiguo", "Empleado", f"antiguo.empleado@{_DOMAIN}", None),
    _employee(8_107, "Subcontrata Gómez", None, None, None),
    _employee(8_108, "Taller", "", "", "Almacén"),
    _employee(8_109, "Ramón", "Vidal", f"ramon.vidal@{_DOMAIN}", "Técnico") | {"deleted": True},
)
GONE = 8_109  # deleted, yet old documents name him
AGENTS = (8_100, 8_101, 8_102, 8_105, 8_106, 8_108)
TECHNICIANS = (8_103, 8_104, 8_107, 8_101)


def _calendar(ident: int, name: str, owner: int) -> dict[str, Any]:
    return {"id": ident, "name": name, "owner-id": owner, "owner-path": f"{HOST}/employees/{owner}"}


CALENDARS: tuple[dict[str, Any], ...] = (
    _calendar(142_000, "Técnicos", 8_103),
    _calendar(142_001, "Comercial", 8_101),
    _calendar(142_002, "Oficina & reuniones", 8_100),
    _calendar(142_003, "Calendario de Ramón", GONE),
)
