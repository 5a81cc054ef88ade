"""Rule files -> diagnostics -> an immutable release -> findings. Pure: text in, values out."""
