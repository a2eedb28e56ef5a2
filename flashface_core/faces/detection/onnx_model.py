"""One of insightface's models on the best execution provider that works, CPU if all else fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import one_line, reason
from .base import DetectorUnavailable
from .files import ModelFile
from .trial import try_file

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
# ROCm's own provider was dropped from onnxruntime in favour of MIGraphX; older builds have it.
_NAMES = {
    "cuda": ("CUDAExecutionProvider",),
    "rocm": ("ROCMExecutionProvider", "MIGraphXExecutionProvider"),
    "coreml": ("CoreMLExecutionProvider",),
    "directml": ("DmlExecutionProvider",),
    "cpu": (CPU,),
}
PROVIDERS = ("auto", *_NAMES)
LICENCE = "insightface's models are for non-commercial research only"
T = TypeVar("T")


class OnnxModel:
    """A loaded model; `provider` says what it runs on."""

    def __init__(self, file: ModelFile, task: str, provider: str = "auto", size: int = 112):
        """Load it. task: insightface's "detection" or "recognition". size: of its pictures.

        Raises DetectorUnavailable, whatever is wrong with the file.
        """
        self.file, self.task = file, task
        library()
        _try(file, size)
        self._model, self.provider, note = _load(file, task, provider)
        log.info("Face %s: %s runs on %s%s. %s.", task, file, self.provider, note, LICENCE)

    def run(self, use: Callable[[Any], T]) -> T:
        """What `use` makes of insightface's model object; once more on the CPU if that fails."""
        try:
            return use(self._model)
        except Exception as error:
            if self.provider == "cpu":
                raise DetectorUnavailable(
                    f"{one_line(self.file)} was loaded, but fails when it runs: "
                    f"{_short(error, self.file)}. "
                    "Replace the file, or choose another detector."
                ) from error
            log.warning(
                "Face %s: %s failed on %s (%s); the CPU takes over.",
                self.task, self.file, self.provider, _short(error),
            )  # fmt: skip
        self._model, self.provider, _ = _load(self.file, self.task, "cpu")
        return self.run(use)


def library() -> Any:
    """insightface's model_zoo module; raises DetectorUnavailable where it does not import."""
    try:
        from insightface import model_zoo
    except Exception as error:  # builds for another numpy fail with anything
        raise DetectorUnavailable(
            f"The Python packages insightface, onnxruntime and opencv-python are needed, and "
            f"importing them failed ({_short(error)}). CONTRIBUTING.md of this pack says how to "
            "install them into ComfyUI's Python without harm to others."
        ) from error
    return model_zoo


def _load(file: ModelFile, task: str, provider: str) -> tuple[Any, str, str]:
    """The model, the provider that it runs on, and why it is not the wanted one (or "")."""
    zoo = library()
    import onnxruntime

    available = onnxruntime.get_available_providers()
    wanted = [p for key in _NAMES if provider in ("auto", key) for p in _NAMES[key]]
    failed = ""
    for name in dict.fromkeys([*(p for p in wanted if p in available), CPU]):
        try:
            model = _session(zoo, file, name)
        except Exception as error:
            failed = _short(error, file)
            continue
        if getattr(model, "taskname", "") != task:
            raise DetectorUnavailable(f"{one_line(file)} is no face {task} model of insightface.")
        running = _label(model.session.get_providers()[0])
        if provider in ("auto", running):
            return model, running, f" ({failed})" if failed and running == "cpu" else ""
        offers = ", ".join(map(_label, available))
        return model, running, f", not on {provider} ({failed or f'onnxruntime offers {offers}'})"
    raise DetectorUnavailable(
        f"{one_line(file)} cannot be loaded: {failed}. The file is damaged or no ONNX model: get "
        f"the pack again. ({LICENCE}.)"
    )


def _try(file: ModelFile, size: int) -> None:
    import onnxruntime

    try:
        try_file(file.path, "onnx", size, f"onnxruntime {onnxruntime.__version__}")
    except Exception as error:
        raise DetectorUnavailable(
            f"{one_line(file)} cannot be loaded: {reason(error, file.path)}. The file is damaged: "
            f"get the pack again. ({LICENCE}.)"
        ) from error


def _session(zoo: Any, file: ModelFile, name: str) -> Any:
    # A path that exists is never downloaded. One session for all sizes, except where CoreML
    # needs fixed ones; insightface before 2 does not know the option and ignores it.
    return zoo.get_model(
        str(file.path),
        providers=list(dict.fromkeys([name, CPU])),
        static_shape_sessions=name == "CoreMLExecutionProvider",
    )


def _label(name: str) -> str:
    known = (key for key, names in _NAMES.items() if name in names)
    return next(known, name.removesuffix("ExecutionProvider"))


def _short(error: Exception, file: ModelFile | None = None) -> str:
    return reason(error, file.path if file else None)
