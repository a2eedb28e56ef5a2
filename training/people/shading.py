"""The software renderer's second half: the light of every pixel of a visibility buffer.

Skin has wrapped diffuse light (red goes furthest round an edge) and a soft highlight; hair shines
along the strand; one shadow map with nine taps; ambient light from sky and ground, by openness.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .compiled import compiled
from .garments import Cloth, cloth_at

WRAP_RED, WRAP_GREEN, WRAP_BLUE = 0.22, 0.14, 0.12
HAIR_SHINE = 0.22
IRIS_RADIUS = 0.155  # the eye's painted part in the template's x, y


class Surface(NamedTuple):
    """What is drawn: n points, t triangles."""

    points: np.ndarray
    normals: np.ndarray
    template: np.ndarray
    openness: np.ndarray
    triangles: np.ndarray
    triangle_uv: np.ndarray
    material: np.ndarray
    uv: np.ndarray


class Colours(NamedTuple):
    """What it looks like."""

    texture: np.ndarray
    gloss: np.ndarray
    material_colours: np.ndarray
    material_gloss: np.ndarray
    iris: np.ndarray
    eyes: np.ndarray  # (2, 2) centres in the template's x, y


class Strands(NamedTuple):
    """Hair: points (n k, 3), colours (n, 3), k points a strand."""

    points: np.ndarray
    colours: np.ndarray
    count: int


class Lamp(NamedTuple):
    """A light with its shadow map (s, s), seen through `frame` about `origin`."""

    direction: np.ndarray
    colour: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    frame: np.ndarray
    origin: np.ndarray
    scale: float
    depth: np.ndarray


TAPS = np.array(
    [[0, 0], [2.2, 1], [-2.2, -1], [1, -2.2], [-1, 2.2], [1.2, 0.9], [-1.2, -0.9], [0.4, -1.1], [-0.4, 1.1]]
)


@compiled
def _lit_share(lamp, taps, x, y, z, bias):
    size = lamp.depth.shape[0]
    dx, dy, dz = x - lamp.origin[0], y - lamp.origin[1], z - lamp.origin[2]
    f = lamp.frame
    column = 0.5 * size + (f[0, 0] * dx + f[0, 1] * dy + f[0, 2] * dz) * lamp.scale
    row = 0.5 * size - (f[1, 0] * dx + f[1, 1] * dy + f[1, 2] * dz) * lamp.scale
    near = f[2, 0] * dx + f[2, 1] * dy + f[2, 2] * dz + bias
    lit = 0
    for k in range(taps.shape[0]):
        j, i = int(column + taps[k, 0]), int(row + taps[k, 1])
        if j < 0 or i < 0 or j >= size or i >= size or lamp.depth[i, j] < near:
            lit += 1
    return lit / taps.shape[0]


@compiled
def _textured(texture, u, v, k):
    size = texture.shape[0]
    x, y = u * size - 0.5, (1.0 - v) * size - 0.5
    j, i = min(max(int(x), 0), size - 2), min(max(int(y), 0), size - 2)
    fx, fy = x - j, y - i
    top = texture[i, j, k] * (1 - fx) + texture[i, j + 1, k] * fx
    low = texture[i + 1, j, k] * (1 - fx) + texture[i + 1, j + 1, k] * fx
    return top * (1 - fy) + low * fy


@compiled
def _eye_colour(q, iris):
    red, green, blue = 0.74, 0.71, 0.68
    if q < 0.56:
        k, light = min(1.0, (0.56 - q) / 0.06), 0.7 + 0.5 * (q - 0.2)
        red += k * (iris[0] * light - red)
        green += k * (iris[1] * light - green)
        blue += k * (iris[2] * light - blue)
        if q > 0.46:
            red, green, blue = red * 0.6, green * 0.6, blue * 0.6
        if q < 0.22:
            red, green, blue = 0.01, 0.01, 0.01
    return red, green, blue


@compiled
def _unit(x, y, z):
    scale = 1.0 / np.sqrt(x * x + y * y + z * z + 1e-12)
    return x * scale, y * scale, z * scale


@compiled
def _blend(values, a, b, c, wa, wb, wc, k):
    return wa * values[a, k] + wb * values[b, k] + wc * values[c, k]


@compiled
def _triangle_pixel(t, px, py, x, y, inverse, surface, colours, cloth, lamp, taps, camera, pixel):
    a, b, c = surface.triangles[t, 0], surface.triangles[t, 1], surface.triangles[t, 2]
    m = surface.material[t]
    bx, by, cx, cy = x[b] - x[a], y[b] - y[a], x[c] - x[a], y[c] - y[a]
    area = bx * cy - cx * by
    wb = ((px - x[a]) * cy - cx * (py - y[a])) / area
    wc = (bx * (py - y[a]) - (px - x[a]) * by) / area
    wa, wb, wc = (1.0 - wb - wc) * inverse[a], wb * inverse[b], wc * inverse[c]
    total = wa + wb + wc
    wa, wb, wc = wa / total, wb / total, wc / total
    X = _blend(surface.points, a, b, c, wa, wb, wc, 0)
    Y = _blend(surface.points, a, b, c, wa, wb, wc, 1)
    Z = _blend(surface.points, a, b, c, wa, wb, wc, 2)
    nx, ny, nz = _unit(
        _blend(surface.normals, a, b, c, wa, wb, wc, 0),
        _blend(surface.normals, a, b, c, wa, wb, wc, 1),
        _blend(surface.normals, a, b, c, wa, wb, wc, 2),
    )
    openness = wa * surface.openness[a] + wb * surface.openness[b] + wc * surface.openness[c]
    red, green, blue = (
        colours.material_colours[m, 0],
        colours.material_colours[m, 1],
        colours.material_colours[m, 2],
    )
    shine, sharp, wrap = colours.material_gloss[m, 0], colours.material_gloss[m, 1], 0.0
    if m == 0:
        tx = _blend(surface.template, a, b, c, wa, wb, wc, 0)
        ty = _blend(surface.template, a, b, c, wa, wb, wc, 1)
        tz = _blend(surface.template, a, b, c, wa, wb, wc, 2)
        covered, red, green, blue = cloth_at(cloth, tx, ty, tz)
        if covered:
            shine, sharp, wrap = 0.01, 12.0, 0.3
        else:
            uvs = surface.triangle_uv
            u = _blend(surface.uv, uvs[t, 0], uvs[t, 1], uvs[t, 2], wa, wb, wc, 0)
            v = _blend(surface.uv, uvs[t, 0], uvs[t, 1], uvs[t, 2], wa, wb, wc, 1)
            red = _textured(colours.texture, u, v, 0)
            green = _textured(colours.texture, u, v, 1)
            blue = _textured(colours.texture, u, v, 2)
            size = colours.gloss.shape[0]
            row = min(max(int((1.0 - v) * size), 0), size - 1)
            shine = colours.gloss[row, min(max(int(u * size), 0), size - 1)]
            sharp, wrap = 16.0, 1.0
    elif m == 1 or m == 2:
        dx = _blend(surface.template, a, b, c, wa, wb, wc, 0) - colours.eyes[m - 1, 0]
        dy = _blend(surface.template, a, b, c, wa, wb, wc, 1) - colours.eyes[m - 1, 1]
        red, green, blue = _eye_colour(np.sqrt(dx * dx + dy * dy) / IRIS_RADIUS, colours.iris)
        openness *= 0.9
    lit = _lit_share(lamp, taps, X + 0.07 * nx, Y + 0.07 * ny, Z + 0.07 * nz, 0.06)
    vx, vy, vz = _unit(camera[0] - X, camera[1] - Y, camera[2] - Z)
    light = lamp.direction
    hx, hy, hz = _unit(light[0] + vx, light[1] + vy, light[2] + vz)
    if (m == 0 or m >= 5) and nx * vx + ny * vy + nz * vz < 0:
        nx, ny, nz = -nx, -ny, -nz
    facing = nx * light[0] + ny * light[1] + nz * light[2]
    kr, kg, kb = WRAP_RED * wrap, WRAP_GREEN * wrap, WRAP_BLUE * wrap
    dr = max(0.0, (facing + kr) / (1 + kr)) * (0.05 * wrap + (1 - 0.05 * wrap) * lit)
    dg = max(0.0, (facing + kg) / (1 + kg)) * lit
    db = max(0.0, (facing + kb) / (1 + kb)) * lit
    up = 0.5 * ny + 0.5
    glint = 0.0
    half = nx * hx + ny * hy + nz * hz
    if half > 0 and facing > 0:
        glint = shine * half**sharp * lit
    rim = shine * 0.6 * (1 - max(0.0, nx * vx + ny * vy + nz * vz)) ** 4 * openness
    sky, ground = lamp.sky, lamp.ground
    pixel[0] = red * (lamp.colour[0] * dr + openness * (ground[0] + up * (sky[0] - ground[0])))
    pixel[1] = green * (lamp.colour[1] * dg + openness * (ground[1] + up * (sky[1] - ground[1])))
    pixel[2] = blue * (lamp.colour[2] * db + openness * (ground[2] + up * (sky[2] - ground[2])))
    for k in range(3):
        pixel[k] += (glint + rim * sky[k]) * lamp.colour[k]


@compiled
def _strand_pixel(p, strands, lamp, taps, camera, pixel):
    strand, j = p // strands.count, p % strands.count
    X, Y, Z = strands.points[p, 0], strands.points[p, 1], strands.points[p, 2]
    tx, ty, tz = _unit(
        strands.points[p + 1, 0] - X, strands.points[p + 1, 1] - Y, strands.points[p + 1, 2] - Z
    )
    openness = 0.35 + 0.65 * min(1.0, 1.6 * j / (strands.count - 1) + 0.15)
    lit = _lit_share(lamp, taps, X, Y, Z, 0.16)
    vx, vy, vz = _unit(camera[0] - X, camera[1] - Y, camera[2] - Z)
    light = lamp.direction
    hx, hy, hz = _unit(light[0] + vx, light[1] + vy, light[2] + vz)
    along = tx * light[0] + ty * light[1] + tz * light[2]
    half = tx * hx + ty * hy + tz * hz
    diffuse = np.sqrt(max(0.0, 1 - along * along)) * 0.75 * lit * (0.5 + 0.5 * openness)
    shine = HAIR_SHINE * np.sqrt(max(0.0, 1 - half * half)) ** 40.0 * lit
    for k in range(3):
        own = strands.colours[strand, k]
        around = lamp.ground[k] + 0.75 * (lamp.sky[k] - lamp.ground[k])
        pixel[k] = own * (lamp.colour[k] * diffuse + openness * around)
        pixel[k] += shine * lamp.colour[k] * (0.3 + own)


@compiled
def _shade(seen, x, y, inverse, surface, colours, strands, cloth, lamp, taps, camera, image):
    triangles = surface.triangles.shape[0]
    for row in range(seen.shape[0]):
        for column in range(seen.shape[1]):
            t = seen[row, column]
            if t < 0:
                continue
            pixel = image[row, column]
            if t < triangles:
                _triangle_pixel(
                    t,
                    column + 0.5,
                    row + 0.5,
                    x,
                    y,
                    inverse,
                    surface,
                    colours,
                    cloth,
                    lamp,
                    taps,
                    camera,
                    pixel,
                )
            else:
                _strand_pixel(t - triangles, strands, lamp, taps, camera, pixel)


def shade(
    seen: np.ndarray,
    screen: tuple[np.ndarray, np.ndarray, np.ndarray],
    surface: Surface,
    colours: Colours,
    strands: Strands,
    cloth: Cloth,
    lamp: Lamp,
    camera: np.ndarray,
) -> np.ndarray:
    """Linear light (H, W, 3) of what `seen` shows, black elsewhere; `screen`: x, y, nearness."""
    image = np.zeros((*seen.shape, 3))
    _shade(seen, *screen, surface, colours, strands, cloth, lamp, TAPS, camera, image)
    return image
