"""The software renderer's second half: the light of every pixel of a visibility buffer.

Skin has wrapped diffuse light (red goes furthest round an edge) and a soft highlight; hair shines
along the strand; one shadow map with five taps; ambient light from sky and ground, by openness.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled, inlined
from .garments import Cloth, cloth_at
from .scene import Colours, Lamp, Strands, Surface

WRAP_RED, WRAP_GREEN, WRAP_BLUE = 0.22, 0.14, 0.12
HAIR_SHINE = 0.22
IRIS_RADIUS = 0.155  # the eye's painted part in the template's x, y
TAPS = np.array([[0, 0], [1.8, 0.9], [-1.8, -0.9], [0.9, -1.8], [-0.9, 1.8]])  # of the shadow map


@inlined
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


@inlined
def _textured(texture, u, v, k):
    size = texture.shape[0]
    x, y = u * size - 0.5, (1.0 - v) * size - 0.5
    j, i = min(max(int(x), 0), size - 2), min(max(int(y), 0), size - 2)
    fx, fy = x - j, y - i
    top = texture[i, j, k] * (1 - fx) + texture[i, j + 1, k] * fx
    low = texture[i + 1, j, k] * (1 - fx) + texture[i + 1, j + 1, k] * fx
    return top * (1 - fy) + low * fy


@inlined
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


@inlined
def _unit(x, y, z):
    scale = 1.0 / np.sqrt(x * x + y * y + z * z + 1e-12)
    return x * scale, y * scale, z * scale


@inlined
def _blend(values, a, b, c, wa, wb, wc, k):
    return wa * values[a, k] + wb * values[b, k] + wc * values[c, k]


@inlined
def _corner_weights(t, px, py, x, y, inverse, triangles):
    a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    bx, by, cx, cy = x[b] - x[a], y[b] - y[a], x[c] - x[a], y[c] - y[a]
    area = bx * cy - cx * by
    wb = ((px - x[a]) * cy - cx * (py - y[a])) / area
    wc = (bx * (py - y[a]) - (px - x[a]) * by) / area
    wa, wb, wc = (1.0 - wb - wc) * inverse[a], wb * inverse[b], wc * inverse[c]
    total = wa + wb + wc
    return a, b, c, wa / total, wb / total, wc / total


@inlined
def _skin(t, surface, colours, wa, wb, wc):
    """Colour, strength and sharpness of the highlight, and wrap of bare skin."""
    uvs = surface.triangle_uv
    u = _blend(surface.uv, uvs[t, 0], uvs[t, 1], uvs[t, 2], wa, wb, wc, 0)
    v = _blend(surface.uv, uvs[t, 0], uvs[t, 1], uvs[t, 2], wa, wb, wc, 1)
    size = colours.gloss.shape[0]
    row = min(max(int((1.0 - v) * size), 0), size - 1)
    shine = colours.gloss[row, min(max(int(u * size), 0), size - 1)]
    red = _textured(colours.texture, u, v, 0)
    green = _textured(colours.texture, u, v, 1)
    return red, green, _textured(colours.texture, u, v, 2), shine, 16.0, 1.0


@inlined
def _material(t, surface, colours, cloth, a, b, c, wa, wb, wc):
    """Colour, strength and sharpness of the highlight, and wrap of a triangle's place."""
    m = surface.material[t]
    x = _blend(surface.template, a, b, c, wa, wb, wc, 0)
    y = _blend(surface.template, a, b, c, wa, wb, wc, 1)
    if m == 0:
        z = _blend(surface.template, a, b, c, wa, wb, wc, 2)
        covered, red, green, blue = cloth_at(cloth, x, y, z)
        if covered:
            return red, green, blue, 0.01, 12.0, 0.3
        return _skin(t, surface, colours, wa, wb, wc)
    shine, sharp = colours.material_gloss[m, 0], colours.material_gloss[m, 1]
    if m == 1 or m == 2:
        x, y = x - colours.eyes[m - 1, 0], y - colours.eyes[m - 1, 1]
        red, green, blue = _eye_colour(np.sqrt(x * x + y * y) / IRIS_RADIUS, colours.iris)
        return red, green, blue, shine, sharp, 0.0
    own = colours.material_colours[m]
    return own[0], own[1], own[2], shine, sharp, 0.0


@inlined
def _triangle_pixel(t, px, py, x, y, inverse, surface, colours, cloth, lamp, taps, camera, pixel):
    a, b, c, wa, wb, wc = _corner_weights(t, px, py, x, y, inverse, surface.triangles)
    X = _blend(surface.points, a, b, c, wa, wb, wc, 0)
    Y = _blend(surface.points, a, b, c, wa, wb, wc, 1)
    Z = _blend(surface.points, a, b, c, wa, wb, wc, 2)
    nx, ny, nz = _unit(
        _blend(surface.normals, a, b, c, wa, wb, wc, 0),
        _blend(surface.normals, a, b, c, wa, wb, wc, 1),
        _blend(surface.normals, a, b, c, wa, wb, wc, 2),
    )
    material = _material(t, surface, colours, cloth, a, b, c, wa, wb, wc)
    openness = wa * surface.openness[a] + wb * surface.openness[b] + wc * surface.openness[c]
    lit = _lit_share(lamp, taps, X + 0.07 * nx, Y + 0.07 * ny, Z + 0.07 * nz, 0.06)
    vx, vy, vz = _unit(camera[0] - X, camera[1] - Y, camera[2] - Z)
    m = surface.material[t]
    if (m == 0 or m >= 5) and nx * vx + ny * vy + nz * vz < 0:
        nx, ny, nz = -nx, -ny, -nz
    _reflect(material, nx, ny, nz, vx, vy, vz, lit, openness, lamp, pixel)


@inlined
def _reflect(material, nx, ny, nz, vx, vy, vz, lit, openness, lamp, pixel):
    red, green, blue, shine, sharp, wrap = material
    light, sky, ground = lamp.direction, lamp.sky, lamp.ground
    hx, hy, hz = _unit(light[0] + vx, light[1] + vy, light[2] + vz)
    facing = nx * light[0] + ny * light[1] + nz * light[2]
    kr, kg, kb = WRAP_RED * wrap, WRAP_GREEN * wrap, WRAP_BLUE * wrap
    dr = max(0.0, (facing + kr) / (1 + kr)) * (0.05 * wrap + (1 - 0.05 * wrap) * lit)
    dg = max(0.0, (facing + kg) / (1 + kg)) * lit
    db = max(0.0, (facing + kb) / (1 + kb)) * lit
    half = nx * hx + ny * hy + nz * hz
    glint = shine * half**sharp * lit if half > 0 and facing > 0 else 0.0
    rim = shine * 0.6 * (1 - max(0.0, nx * vx + ny * vy + nz * vz)) ** 4 * openness
    up = 0.5 * ny + 0.5
    pixel[0] = red * (lamp.colour[0] * dr + openness * (ground[0] + up * (sky[0] - ground[0])))
    pixel[1] = green * (lamp.colour[1] * dg + openness * (ground[1] + up * (sky[1] - ground[1])))
    pixel[2] = blue * (lamp.colour[2] * db + openness * (ground[2] + up * (sky[2] - ground[2])))
    for k in range(3):
        pixel[k] += (glint + rim * sky[k]) * lamp.colour[k]


@inlined
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
    args = surface, colours, cloth, lamp, taps, camera
    triangles = surface.triangles.shape[0]
    for row in range(seen.shape[0]):
        for column in range(seen.shape[1]):
            t = seen[row, column]
            if t >= triangles:
                _strand_pixel(t - triangles, strands, lamp, taps, camera, image[row, column])
            elif t >= 0:
                px, py = column + 0.5, row + 0.5
                _triangle_pixel(t, px, py, x, y, inverse, *args, image[row, column])


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
