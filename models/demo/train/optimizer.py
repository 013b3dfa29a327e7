"""Muon for the matrices of the layers, Adam for the embedding and the norms, with one schedule for both."""

import optax
import optax.contrib

# Muon's updates have a fixed size, whatever the gradient's, so its rate is far above Adam's.
MATRIX_RATE = 0.02
ADAM_RATE = 4e-3
WARM_UP_STEPS = 100


def _schedule(peak: float, steps: int, decays: bool) -> optax.Schedule:
    """Up in a straight line, then level, or down to a hundredth: what the last part learns is kept, not jittered away."""
    last = peak / 100 if decays else peak
    after = optax.linear_schedule(peak, last, steps - WARM_UP_STEPS)
    return optax.join_schedules([optax.linear_schedule(0.0, peak, WARM_UP_STEPS), after], [WARM_UP_STEPS])


def create(parameters: dict, steps: int, *, rate: float, decays: bool) -> optax.GradientTransformation:
    """The optimizer for `steps` updates of parameters of this form; `rate` is the share of the highest rates that it peaks at."""
    is_matrix = {
        "embedding": None,
        "final_norm": None,
        "layers": [
            {name: optax.contrib.MuonDimensionNumbers() if leaf.ndim == 2 else None for name, leaf in layer.items()}
            for layer in parameters["layers"]
        ],
    }
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.contrib.muon(
            _schedule(rate * MATRIX_RATE, steps, decays),
            adam_learning_rate=_schedule(rate * ADAM_RATE, steps, decays),
            adam_b2=0.95,
            muon_weight_dimension_numbers=is_matrix,
        ),
    )
