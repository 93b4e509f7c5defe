def anonymize() -> None:
    pass
