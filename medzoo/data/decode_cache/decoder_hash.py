"""A hash of what this machine's decoders produce for a few built-in files; it is part of the key of decoded images.

The JPEG and WebP standards allow small differences, so another Pillow or libjpeg may produce other pixels. With this hash in the
key, rows of different decoders are never mixed.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from medzoo.data.decode_cache.rows import to_row
from medzoo.data.images.read import decode_bytes
from medzoo.errors import ImageError

SIZES = (8, 17, 24)  # a smaller, the same and a larger square

# 17 x 12 pixels (8 x 6 of 16 bits) of steps and ramps, base85; made by Pillow 13.
FILES = {
    "png_16_bit": (
        "iBL{Q4GJ0x0000DNk~Le00008000065C8xG0E_-yWB>pFX-PyuRCwBBW?<miFDx(hPyU{ot*)%`A11cD0vjZo6~nYO+3yN$kZ5LsP@l~Iak1a!-yoUFC"
        "^B8$;<u!R#c#>qlIj+}C0W?-3cO%>^VOW?4TQxkD*kiDpGl0r*`9Kp`?2D$5CHB#Cve7Yeyjih002ovPDHLkV1f"
    ),
    "png_palette": (
        "iBL{Q4GJ0x0000DNk~Le0000H0000C0s{a50QpP4EC2ui3{Xr|MM1tVf_+@MMvU+eyOj|QRsaA1K1oDDRCwA2!Lb!UFaQO>%YV_Qu}^HEVPXR)45G)2y"
        "TZQBv9v0Vy9@mk?Yad-@2k{;e4~&$A<sL=R0}_;9t+^`oa<Qt0000<MNUMnLSTX"
    ),
    "jpeg_grey": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV00;&K2L=TQ2L}fU2?z=d6b%du3k(?&6Au&}8Xq1V8XO!TBrYc)A}k{u94I#_EHE)NG&CP4IXyTsJT5adGXKB;3"
        "kU!V01*KJ5di<h02TlN0RaF20000000000000071_l4b045Ls0s#UA0tWy900000000015dr`N0|f>WAr)~XF;iiovGD)e00;pA002J#lG52kc3XIIL0"
        "q88N8S1TQ%0G}W41(FhuSCw`0-Z#I@{4d6d|Rppl$8u%iJQ6Np_}8j{-PQ#1WK=N0rM0wk!YH"
    ),
    "jpeg_4_2_0": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV00;&K2L=TQ2L}fU2?z=d6b%du3k(?&6Au&}8Xq1V8XO!TBrYc)A}k{u94I#_EHE)NG&CP4IXyTsJT5adGXL8EL"
        "jeg12@DGi7!3^=G9erxGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBPqUGBW?b01*fP3;+=W0U`hb5di}c0sq7R7XSbQ0R"
        "R910000000000000031p@!X03r|o00jgA1poj500000000000RjUN1QH=Jp%WreQ(^za02cuO0|5X40000000000000021qKKI!~h`?000F72LJ#7000"
        "0000000009C6@C61E6d^HDVe$Xk01N{G00I#M5dc2`Z9~T@E2HFzkG+!a*8#N(GFp=ui4$B^$CB27Tg{e*B<wh}>8%n{b78)+{hR<Q<MIJ<jWf}r<=fz"
        "g|Je"
    ),
    "jpeg_4_2_2_progressive": (
        "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ&KWMT47pHU`kO^PygEhL"
        "jevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf!2C01*fP3;+=W0U-ba5di}c0sq7R7XSeP0R"
        "aF20000000000000030RsQT02ToO0RaF20000000000000050tEls01N{G00IyL5C8xH*v)WFs>JLf34i~@02dGe0RaI300000000000000101y%X+5i"
        "Xv0RRC70$Fa({{a8Q02&bh0s;d70000000000000000RsdO5+VQE00;pC0RcY&qZy(pE@S`102mPf0|5a50000000000000000R#{d|Jncu0RjO5KLM3"
        "wr%eCE02B}b0000000000000000000W|Jncu0RaF8KLTI>!~hu(00IL600000000000000001yEYF;V~800;pA00BQCL2jBQfB)J53<CiG0ssR5000o)"
        "(*MK&7!d&h0RaI30000000000000315g}p!+5iXv0|5a)5Ii|~#s<s(!~hx*00II7000000000000000009s&5mBN4+5iXv0s#R(5U9%E1*kv&!~h!*0"
        "0RI50{{R3000000000000AKpK{0{w|Jncu0RaF3KM=FM92D?F($Lv=Mp^&a"
    ),
    "webp": (
        "Qb|TeZ~y=RS4BclR!}$~WB>pFumk{|0V)vy3;;g0NS;ZjBqE_O2ms&~iEIF!GK6<GlG6c2{sQ9TAlv{AFOUHD{k+)R(LYeYL^O*BbReFnn0LKq!?iNZ4"
        "}*N&3yp^=zqAY}xG16?ER{J-i9Al9kVpUk"
    ),
}


@cache
def golden_hash() -> str:
    """The sha256 of the decoded pixels and stored rows of these files; 64 hex digits, the same in every process of a machine.

    A format that this machine's Pillow does not support counts as missing.

    >>> len(golden_hash())
    64
    """
    digest = hashlib.sha256()
    for name, text in FILES.items():
        digest.update(name.encode())
        try:
            pixels = decode_bytes(base64.b85decode(text), name)
        except ImageError:
            digest.update(b"missing")
            continue
        for array in (pixels.array, *(to_row(pixels, size) for size in SIZES)):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
