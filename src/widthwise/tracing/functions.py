"""The PyTorch functions that tracing distinguishes by name: those that compute, normalize or only move values."""

CONVOLUTIONS = {*(f"conv{n}d" for n in (1, 2, 3)), *(f"conv_transpose{n}d" for n in (1, 2, 3))}
DENSE = {"linear", "bilinear"}
MATRIX_PRODUCTS = {"addmm", "baddbmm", "matmul", "mm", "bmm", "__matmul__", "__rmatmul__", "einsum"}
"""Dense layers where one factor is a weight; attention where both come from the data."""
NONLINEARITIES = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"),
    *("sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "logsigmoid", "softsign", "tanhshrink", "threshold"),
    *("hardshrink", "softshrink", "glu", "clamp", "clamp_min", "clip", "erf"),
}
COUPLING_NORMALIZATIONS = {"layer_norm", "group_norm", "local_response_norm", "rms_norm"}
"""Normalizations through which every unit acts on others."""
NORMALIZATIONS = {"batch_norm", "instance_norm"} | COUPLING_NORMALIZATIONS
DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}
POOLINGS = {
    *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg", "lp") for n in (1, 2, 3)),
    "interpolate",
}
ARITHMETIC = {
    *(name for plain in ("add", "sub", "mul", "div") for name in (plain, f"__{plain}__", f"__r{plain}__")),
    *(f"__i{plain}__" for plain in ("add", "sub", "mul", "div", "truediv")),
    *("__truediv__", "__rtruediv__", "neg", "__neg__", "addcmul"),
}
JOINS = {"cat", "concat", "concatenate"}
IDENTITIES = {"contiguous", "to", "float", "half", "bfloat16", "type_as", "clone", "detach"}
"""Functions that change at most a value's type, device or memory layout."""
MOVING = {
    *("view", "reshape", "flatten", "permute", "transpose", "swapaxes", "squeeze", "unsqueeze", "mean", "__getitem__"),
    *("unflatten", "movedim", "moveaxis", "t", "chunk", "split", "pad"),
}
"""Functions after which the units may lie along another dimension."""
UNIT_PRESERVING = NORMALIZATIONS | DROPOUTS | POOLINGS | ARITHMETIC | IDENTITIES
"""Functions that leave every unit at its index, provided that the shape stays the same there."""
TRANSPARENT = UNIT_PRESERVING | JOINS | MOVING
"""Functions between a dense layer or convolution and its nonlinearity through which the search for layers looks."""


def plain(name: str) -> str:
    """A function's name without the trailing underscore that marks writing in place."""
    return name if name.startswith("__") else name.rstrip("_")
