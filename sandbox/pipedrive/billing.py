"""How often a product is billed: rules shared by products and deal lines."""

from __future__ import annotations

from sandbox.pipedrive.call import Call
from sandbox.pipedrive.refusals import forbidden, invalid
from sandbox.pipedrive.store import Record

FREQUENCIES = ("one-time", "annually", "semi-annually", "quarterly", "monthly", "weekly")
MOST_CYCLES = 208


def check_billing(call: Call, record: Record, checked: Record) -> None:
    """Recurring billing is a matter of the plan; cycles depend on the frequency."""
    frequency, cycles = record["billing_frequency"], record["billing_frequency_cycles"]
    if frequency != "one-time" and not call.desk.plan.recurring:
        raise forbidden("Recurring billing is not available in this plan")
    if not {"billing_frequency", "billing_frequency_cycles"} & checked.keys():
        return
    if frequency == "one-time" and cycles is not None:
        raise invalid("billing_frequency_cycles", "Must be null when billing is one-time")
    if frequency == "weekly" and cycles is None:
        raise invalid("billing_frequency_cycles", "Must be set when billing is weekly")
