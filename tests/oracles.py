"""Brute-force answers in float64: loops over pixels, images and positions. Never optimised.

Written from the table of machines, not from the library: nothing here imports elslib.
"""

import numpy as np


def window_pixels(i, j, h, w, window, border):
    """The pixels seen from (i, j): (offset, pixel) pairs; offsets tell windows apart."""
    r = window // 2
    seen = []
    for di in range(-r, r + 1):
        for dj in range(-r, r + 1):
            if border == "circular":
                seen.append(((di, dj), ((i + di) % h, (j + dj) % w)))
            elif 0 <= i + di < h and 0 <= j + dj < w:
                seen.append(((di, dj), (i + di, j + dj)))
    return seen


def admissible(i, j, h, w, window, border):
    """Training positions that pixel (i, j) may use: those whose clipped window has its shape."""
    if border == "fixed":
        return [(i, j)]
    if border == "circular":
        return [(k, l) for k in range(h) for l in range(w)]
    mine = [offset for offset, _ in window_pixels(i, j, h, w, window, border)]
    return [
        (k, l)
        for k in range(h)
        for l in range(w)
        # A coordinate with an outside pixel in its window is fixed, row and column separately.
        if (k == i or not touches(i, h, window))
        and (l == j or not touches(j, w, window))
        and [offset for offset, _ in window_pixels(k, l, h, w, window, border)] == mine
    ]


def touches(i, side, window):
    """Whether the window of coordinate i contains an outside pixel."""
    return i - window // 2 < 0 or i + window // 2 > side - 1


def precisions(window):
    """How much each offset from the centre counts: {(di, dj): precision}, from the definition.

    `window` is an odd side, or has `side`, `boxes`, `amplitude`.
    """
    side = getattr(window, "side", window)
    boxes, amplitude = getattr(window, "boxes", 1), getattr(window, "amplitude", 1.0)
    ways = {0: 1.0}  # in how many ways an offset is a sum of `boxes` offsets within a box
    for _ in range(boxes):
        further = {}
        for offset, n in ways.items():
            for step in range(-(side // 2), side // 2 + 1):
                further[offset + step] = further.get(offset + step, 0.0) + n
        ways = further
    return {(i, j): amplitude * ways[i] * ways[j] / ways[0] ** 2 for i in ways for j in ways}


def pixel(image, i, j, border):
    """Channels at (i, j): wrapped, or zeros outside."""
    h, w = image.shape[1:]
    if border == "circular":
        return image[:, i % h, j % w]
    return image[:, i, j] if 0 <= i < h and 0 <= j < w else np.zeros(len(image))


def patch_posterior(x, images, alpha, sigma, window, border):
    """Mean [c, h, w], log sum [h, w], entropy [h, w], list of (weight, image, row, col) per pixel,
    for one noisy image x [c, h, w] and training images [n, c, h, w].

    `window` is an odd side, or has `side`, `boxes`, `amplitude`, `response`, `edge`.
    """
    x, images = np.asarray(x, np.float64), np.asarray(images, np.float64)
    _, h, w = x.shape
    edge = getattr(window, "edge", None) or getattr(window, "side", window)
    log_sum, entropy, origins = np.zeros((h, w)), np.zeros((h, w)), {}
    for i in range(h):
        for j in range(w):
            logits, places = [], []
            for k, l in admissible(i, j, h, w, edge, border):
                for n in range(len(images)):
                    distance = 0.0
                    for (di, dj), q in precisions(window).items():
                        mine = pixel(x, i + di, j + dj, border)
                        theirs = pixel(images[n], k + di, l + dj, border)
                        distance += q * ((mine - alpha * theirs) ** 2).sum()
                    logits.append(-distance / (2 * sigma**2))
                    places.append((n, k, l))
            _, log_sum[i, j], entropy[i, j], weights = average(logits, np.zeros(len(logits)))
            origins[i, j] = [(p, *place) for p, place in zip(weights, places, strict=True)]
    return (
        expected(images, origins, getattr(window, "response", 1), border),
        log_sum,
        entropy,
        origins,
    )


def expected(images, origins, response, border):
    """Each pixel's mean over the response x response windows around it, those in the image, of what
    they expect of it: [c, h, w]. `origins` has the weights of each window."""
    _, c, h, w = images.shape
    r, mean = response // 2, np.zeros((c, h, w))
    for i in range(h):
        for j in range(w):
            said = []
            for di in range(-r, r + 1):
                for dj in range(-r, r + 1):
                    centre = (
                        ((i + di) % h, (j + dj) % w) if border == "circular" else (i + di, j + dj)
                    )
                    if centre in origins:
                        said.append(
                            sum(
                                weight * pixel(images[n], k - di, l - dj, border)
                                for weight, n, k, l in origins[centre]
                            )
                        )
            mean[:, i, j] = np.mean(said, axis=0)
    return mean


def image_mass(x, images, alpha, sigma, window, border):
    """Weight [n, h, w] of each training image's patches at every pixel of one noisy image x."""
    origins = patch_posterior(x, images, alpha, sigma, window, border)[3]
    mass = np.zeros((len(images), *np.shape(x)[1:]))
    for (i, j), patches in origins.items():
        for weight, image, _, _ in patches:
            mass[image, i, j] += weight
    return mass


def whole_image(x, images, alpha, sigma, shifts):
    """IS (shifts=False) or ES (all cyclic shifts): mean [c, h, w] and log sum."""
    x, images = np.asarray(x, np.float64), np.asarray(images, np.float64)
    _, h, w = x.shape
    candidates = []
    for image in images:
        for di in range(h if shifts else 1):
            for dj in range(w if shifts else 1):
                candidates.append(np.roll(image, (di, dj), axis=(1, 2)))
    logits = [-((x - alpha * image) ** 2).sum() / (2 * sigma**2) for image in candidates]
    mean, log_sum, entropy, _ = average(logits, candidates)
    return mean, log_sum, entropy


def average(logits, values):
    """Softmax mean of values, log of the sum of weights, entropy, and the weights."""
    logits = np.array(logits)
    peak = logits.max()
    weights = np.exp(logits - peak)
    log_sum = peak + np.log(weights.sum())
    weights = weights / weights.sum()
    mean = sum(p * np.asarray(v) for p, v in zip(weights, values, strict=True))
    entropy = -(weights * np.log(np.where(weights > 0, weights, 1.0))).sum()
    return mean, log_sum, entropy, weights
