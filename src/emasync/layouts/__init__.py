"""What layouts of labs say of files on disk: names, registers, acquisition files. Pure; plans and hooks share it."""
