"""Initial weights that can already copy: an induction circuit, laid out by hand before training.

A tiny model needs most of a run to discover copying ("find where this token stood before, say
what came after it"). It takes two attention heads, and their weights can be written down (Olsson
et al. 2022, "In-context learning and induction heads"); training then only has to say when to copy.

The residual stream starts as [0] a constant, [1:I] the token's identity, and [I:] room for the
token before it.
"""

from __future__ import annotations

import math
from typing import Any

HEAD = 32
SCALE = math.sqrt(HEAD)


def lay_out_copying(model: Any, std: float = 0.2) -> None:
    """Write a previous-token head into layer 0 and an induction head into layer 1.

    The model has head dimension 32 and interleaved rotary pairs, as ERNIE-4.5 has.
    """
    import torch

    width = model.config.hidden_size
    room = 32
    identity = slice(1, width - room)
    before = slice(width - room, width)
    n = width - room - 1
    embed = model.model.embed_tokens.weight
    frequencies = model.model.rotary_emb.inv_freq
    # The constant is what a head that looks at positions alone has as its query and key.
    constant = 3 * std
    with torch.no_grad():
        embed.normal_(0.0, std)
        embed[:, 0] = constant
        embed[:, before] = 0
        # Equal lengths: the norm would otherwise make some tokens look nearer than others.
        embed[:, identity] *= std * math.sqrt(n) / embed[:, identity].norm(dim=1, keepdim=True)
        look = torch.linalg.qr(torch.randn(n, room))[0].T  # 32 orthonormal views of the identity
        rms = math.sqrt((n * std**2 + constant**2) / width)
        first = model.model.layers[0].self_attn
        pairs = 6  # the fast rotary pairs tell positions apart, the slow ones compare content
        q, k = torch.zeros(HEAD), torch.zeros(HEAD)
        strength = math.sqrt(10 * SCALE) / (constant / rms)
        for i in range(pairs):
            angle = -float(frequencies[i])  # the key one position back then fits best
            weight = strength * (
                0.8 + 0.3 * i
            )  # fast pairs repeat themselves far away, slow ones do not
            q[2 * i], q[2 * i + 1] = weight * math.cos(angle), weight * math.sin(angle)
            k[2 * i] = weight
        first.q_proj.weight[:HEAD] = 0
        first.q_proj.weight[:HEAD, 0] = q
        first.k_proj.weight[:HEAD] = 0
        first.k_proj.weight[:HEAD, 0] = k
        first.v_proj.weight[:HEAD] = 0
        first.v_proj.weight[:HEAD, identity] = look
        first.o_proj.weight[:, :HEAD] = 0
        first.o_proj.weight[before, :HEAD] = torch.eye(room) * rms
        slow = slice(2 * pairs, HEAD)
        sharp = 2.5
        second = model.model.layers[1].self_attn
        second.q_proj.weight[:HEAD] = 0
        second.q_proj.weight[slow, identity] = sharp * look[: HEAD - 2 * pairs]
        second.k_proj.weight[:HEAD] = 0
        second.k_proj.weight[slow, before] = sharp * torch.eye(room)[: HEAD - 2 * pairs]
        second.v_proj.weight[:HEAD] = 0
        second.v_proj.weight[:HEAD, identity] = look
        second.o_proj.weight[:, :HEAD] = 0
        second.o_proj.weight[identity, :HEAD] = look.T * 3 * std
