"""Coloured point clouds from a sketch and a text: geometry first, then colour (STPD, Wu et al., ICCV 2023)."""
