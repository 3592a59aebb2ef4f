"""The PyTorch functions that tracing distinguishes by name; what all others do is found by calling them."""

CONVOLUTIONS = {*(f"conv{n}d" for n in (1, 2, 3)), *(f"conv_transpose{n}d" for n in (1, 2, 3))}
DENSE = {"linear", "bilinear"}
EMBEDDINGS = {"embedding", "embedding_bag"}
RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}
MATRIX_PRODUCTS = {
    *("addmm", "addbmm", "addmv", "baddbmm", "matmul", "linalg_matmul", "mm", "mv", "bmm", "__matmul__", "__rmatmul__"),
    *("einsum", "tensordot", "inner", "cdist", "chain_matmul", "linalg_multi_dot"),
}
"""Dense layers where one factor is a weight; attention where both come from the data."""
GROUPED_PRODUCTS = {"grouped_mm", "_grouped_mm"}
"""Products of each expert's rows, one expert after the other, with its own part of a weight."""
ATTENTION = {"scaled_dot_product_attention"}
ACTIVATIONS = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus"),
    *("sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "logsigmoid", "softsign", "tanhshrink", "threshold"),
    *("hardshrink", "softshrink", "glu", "erf"),
}
"""Nonlinearities that are made to be a layer's; wherever they stand, they count."""
SOFTMAXES = {"softmax", "log_softmax", "softmin", "gumbel_softmax"}
CURVES = {
    *("clamp", "clamp_min", "clamp_max", "clip", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos"),
    *("tan", "sinh", "cosh", "asinh", "acosh", "atanh", "asin", "acos", "atan", "atan2", "abs", "sqrt", "rsqrt"),
    *(
        "square",
        "pow",
        "float_power",
        "__pow__",
        "__rpow__",
        "__ipow__",
        "reciprocal",
        "sign",
        "floor",
        "ceil",
        "round",
    ),
    *("maximum", "minimum", "fmax", "fmin", "erfc", "sinc", "logit", "heaviside", "special_expit", "sgn", "absolute"),
}
"""Further functions that are elementwise and not linear."""
NONLINEARITIES = ACTIVATIONS | SOFTMAXES | CURVES
COUPLING_NORMALIZATIONS = {"layer_norm", "group_norm", "local_response_norm", "rms_norm", "normalize"}
"""Normalizations through which every unit acts on others."""
NORMALIZATIONS = {"batch_norm", "instance_norm"} | COUPLING_NORMALIZATIONS
DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}
POOLINGS = {
    *(f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_max", "adaptive_avg", "lp") for n in (1, 2, 3)),
    "interpolate",
}
ADDITIONS = {
    *(name for plain in ("add", "sub") for name in (plain, f"__{plain}__", f"__r{plain}__", f"__i{plain}__")),
    *("rsub", "neg", "__neg__", "positive"),
}
MULTIPLICATIONS = {
    *(
        name
        for plain in ("mul", "div", "truediv")
        for name in (plain, f"__{plain}__", f"__r{plain}__", f"__i{plain}__")
    ),
    *("multiply", "divide", "true_divide"),
}
ARITHMETIC = ADDITIONS | MULTIPLICATIONS
COMPARISONS = {
    *("gt", "lt", "ge", "le", "eq", "ne", "greater", "less", "greater_equal", "less_equal", "not_equal", "isnan"),
    *(
        "isfinite",
        "isinf",
        "logical_not",
        "logical_and",
        "logical_or",
        "__and__",
        "__or__",
        "__invert__",
        "bitwise_not",
    ),
    *("__gt__", "__lt__", "__ge__", "__le__", "__eq__", "__ne__"),
}
CHOICES = {"where", "masked_fill", "__setitem__", "masked_scatter"}
"""Functions that choose by a condition, and are linear unless the condition is about the units themselves."""
JOINS = {"cat", "concat", "concatenate"}
CASTS = {"to", "float", "double", "half", "bfloat16", "type_as", "type"}
IDENTITIES = {"contiguous", "clone", "detach", "data", "requires_grad", "alias", "cpu", "cuda"} | CASTS
"""Functions that change at most a value's type, device or memory layout."""
EXPANSIONS = {"expand", "expand_as", "broadcast_to"}
FRESH = {
    *(f"{kind}_like" for kind in ("zeros", "ones", "full", "empty", "rand", "randn", "randint")),
    *(f"new_{kind}" for kind in ("zeros", "ones", "full", "empty", "tensor")),
}
"""Functions that take no more than the shape, type or device of what they are given."""
REDUCTIONS = {
    *("mean", "sum", "amax", "amin", "max", "min", "prod", "std", "var", "norm", "linalg_vector_norm", "logsumexp"),
    *("median", "nanmean", "nansum", "var_mean", "std_mean", "argmax", "argmin", "any", "all", "linalg_norm"),
}
RESHAPES = {"view", "reshape", "flatten", "unflatten", "reshape_as", "view_as", "ravel"}
SPLITS = {"chunk", "split", "tensor_split", "split_with_sizes", "unbind", "narrow", "select"}
MOVING = (
    {
        *(
            "permute",
            "transpose",
            "swapaxes",
            "swapdims",
            "squeeze",
            "unsqueeze",
            "__getitem__",
            "movedim",
            "moveaxis",
            "t",
        ),
        *(
            "T",
            "mT",
            "H",
            "mH",
            "stack",
            "hstack",
            "vstack",
            "dstack",
            "repeat",
            "repeat_interleave",
            "tile",
            "roll",
            "flip",
        ),
        *("gather", "index_select", "take_along_dim", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "unfold"),
        *("diagonal", "rot90", "fliplr", "flipud", "im2col"),
    }
    | RESHAPES
    | SPLITS
)
"""Functions whose every result is one of the entries of an argument."""
MIXTURES = {"addcmul", "addcdiv", "lerp"}
CELLWISE = ARITHMETIC | MIXTURES | COMPARISONS | CHOICES | IDENTITIES | EXPANSIONS | CURVES | (ACTIVATIONS - {"glu"})
"""Functions that act entry by entry, on arguments that are broadcast."""
UNIT_PRESERVING = NORMALIZATIONS | DROPOUTS | POOLINGS | CELLWISE | SOFTMAXES
"""Functions that leave every unit at its index, provided that the shape stays the same there."""


def plain(name: str) -> str:
    """A function's name without the trailing underscore that marks writing in place."""
    return name if name.startswith("__") else name.rstrip("_")
