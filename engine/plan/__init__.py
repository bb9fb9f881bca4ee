"""What a run is going to do: made by looking, kept in the store, judged, shown and carried out.

Door: make.make_plan, cost.summed_up, guards.guard, simulate.simulate.
"""
