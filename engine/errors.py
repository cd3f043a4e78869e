"""The one error that is written for people."""


class InputError(ValueError):
    """Something a person gave cannot be used. Shown to them word for word; everything else is a bug.

    what: what is wrong, with the number that was found. why: the rule or limit it breaks.
    fix: what to do about it. field: the name of the input or setting concerned, "" when none.
    """

    def __init__(self, what: str, why: str = "", fix: str = "", field: str = ""):
        self.what, self.why, self.fix, self.field = what, why, fix, field
        super().__init__(" ".join(part for part in (what, why, fix) if part))
