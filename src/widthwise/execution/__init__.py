"""From trials to their outcomes in a store: the trainers, the runner, the plan, and the machine that they run on."""
