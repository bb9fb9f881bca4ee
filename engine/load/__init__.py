"""Carrying a plan out: intent first, then the call, then the outcome, until none is unknown.

Door: apply.apply, deliver.deliver, reconcile.reconcile, custom_fields.provision.
"""
