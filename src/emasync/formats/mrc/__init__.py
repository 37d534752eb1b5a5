"""MRC2014 and CCP4 maps."""
