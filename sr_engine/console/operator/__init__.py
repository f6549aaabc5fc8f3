"""The pages of the DCC's operator."""
