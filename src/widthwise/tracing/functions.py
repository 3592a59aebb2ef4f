"""The PyTorch functions that are told apart by name: what computes, what normalizes, what only moves values."""

CONVOLUTIONS = {*(f"conv{n}d" for n in (1, 2, 3)), *(f"conv_transpose{n}d" for n in (1, 2, 3))}
DENSE = {"linear", "bilinear"}
MATRIX_PRODUCTS = {"addmm", "baddbmm", "matmul", "mm", "bmm", "__matmul__", "__rmatmul__", "einsum"}
"""Dense layers where one factor is a weight; between two values of the data, attention."""
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
KEEPING = {"contiguous", "to", "float", "half", "bfloat16", "type_as", "clone", "detach"}
MOVING = {
    *("view", "reshape", "flatten", "permute", "transpose", "swapaxes", "squeeze", "unsqueeze", "mean", "__getitem__"),
    *("unflatten", "movedim", "moveaxis", "t", "chunk", "split", "pad"),
}
"""Functions after which the units may lie along another dimension."""
SAME_PLACES = NORMALIZATIONS | DROPOUTS | POOLINGS | ARITHMETIC | KEEPING
"""Functions that leave every unit where it is, if the shape says so too."""
PASSED = SAME_PLACES | JOINS | MOVING


def plain(name: str) -> str:
    """A function's name without the mark that it writes in place."""
    return name if name.startswith("__") else name.rstrip("_")
