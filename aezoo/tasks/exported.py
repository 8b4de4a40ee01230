"""What every task with a fitted model can do: become a bundle."""

from pathlib import Path

from sklearn.utils.validation import check_is_fitted


class Exported:
    """Lets a task that has a `model_` write it as a bundle."""

    def export(self, path: str | Path, **options) -> Path:
        """Write a verified bundle, whose endpoints answer as this task does.

        Args:
            path: The folder to make.
            **options: As `aezoo.export_bundle` takes them.
        """
        import aezoo

        check_is_fitted(self, "model_")
        aezoo.export_bundle(self.model_, path, **options)
        return Path(path)
