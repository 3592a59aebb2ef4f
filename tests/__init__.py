"""The tests. They check the signatures of what they call, and do so from the first import of widthwise on."""

import jaxtyping

from tests.checking import checked

jaxtyping.jaxtyped = checked
