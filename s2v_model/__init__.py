"""How pixels are made: a portrait and speech in, frames out.

Knows arrays and numbers, never episodes or stores. `load` imports a backend only when it is asked for.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from s2v_model.contract import Renderer, RendererMissing, Traits

_BACKENDS = {
    "puppet": "s2v_model.puppet.renderer:load",
    "wan-s2v": "s2v_model.wan.renderer:load",
    "wan-scene": "s2v_model.wan.scene:load",
}
_TRAITS = {"wan-s2v": "s2v_model.wan.traits:load", "wan-scene": "s2v_model.wan.scene_traits:load"}
"""Traits that are read without the backend's packages."""


def load(name: str, options: Mapping[str, Any]) -> Renderer:
    """The renderer called `name`, or of a function "MODULE:FUNCTION" elsewhere, built with its own `options`.

    Raises RendererMissing for an unknown name or a backend whose packages are not installed.
    """
    place = _BACKENDS.get(name, name)
    if ":" not in place:
        raise RendererMissing(f"There is no renderer {name!r}. Known are: {', '.join(sorted(_BACKENDS))}.")
    module, attribute = place.split(":")
    try:
        backend = import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("s2v_model", "tasks"):
            raise
        raise RendererMissing(
            f"Renderer {name!r} needs the package {error.name!r}, which is not installed. "
            "Install the extra: pip install 'troupe[wan]'."
        ) from error
    return cast(Renderer, getattr(backend, attribute)(options))


def traits(name: str, options: Mapping[str, Any]) -> Traits:
    """What a planner must know of the renderer called `name`, where it renders elsewhere: needs none of its packages.

    Raises RendererMissing where the traits cannot be told here.
    """
    if name not in _TRAITS:
        return load(name, options).traits()
    module, attribute = _TRAITS[name].split(":")
    return cast(Traits, getattr(import_module(module), attribute)(options))
