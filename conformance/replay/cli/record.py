def record() -> None:
    pass
