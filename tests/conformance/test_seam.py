"""Every broker of LTQ keeps what the seam promises."""

from ltq.testing.conformance.seam import *
