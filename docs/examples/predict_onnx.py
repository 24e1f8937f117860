"""Label images with a file of `medzoo export`: python predict_onnx.py net.onnx a.png b.png. It needs numpy, pillow, onnxruntime.

It prepares an image as `medzoo.predict(..., views="one")`: resized in floats, because Pillow's resize of 8-bit images rounds twice,
and then rounded to whole grey levels. A few pixels may still differ by one level. It reads no DICOM: CT is a picture of the window
that the metadata name.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
facts = session.get_modelmeta().custom_metadata_map
rule, labels, heat = json.loads(facts["input"]), np.array(json.loads(facts["labels"])), float(facts["temperature"])
size, side = rule["size"], max(rule["size"], round(rule["size"] / rule["crop_share"]))
window = rule.get("window", "")
if window.startswith(("percentile", "zscore")):
    sys.exit(f"The network needs the window {window} of each image, which this program does not compute.")
for path in sys.argv[2:]:
    image = ImageOps.exif_transpose(Image.open(path))
    top = 65535 if image.mode.startswith("I") else 255  # 16-bit grey stays, because convert("L") would clip it
    if top == 255:
        image = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    low, high = (0, top) if not window or window.endswith(" HU") else map(float, window.split(":"))
    planes = np.moveaxis(np.atleast_3d(np.asarray(image, np.float32)).clip(low, high), 2, 0)
    planes = [np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR)) for plane in planes]
    unit = (np.rint(np.stack(planes, 2)) - low) / np.float32(high - low)  # whole grey levels, as medzoo stores them
    if rule["rule"] == "per_image_minmax":
        unit = (unit - unit.min()) / max(unit.max() - unit.min(), 1e-8)
    crop = slice(round((side - size) / 2), round((side - size) / 2) + size)
    unit = unit[crop, crop]
    if rule["channels"] == 1 and unit.shape[2] == 3:
        unit = unit @ np.float32([[0.299], [0.587], [0.114]])
    batch = ((unit - np.float32(rule["mean"])) / np.float32(rule["std"])).transpose(2, 0, 1)[None]
    logits = session.run(["logits"], {"image": batch})[0][0].astype(float)
    if facts["activation"] == "sigmoid":  # several labels at once
        values = 1 / (1 + np.exp(-logits / heat))
        label = "|".join(labels[values >= json.loads(facts["thresholds"])])
    else:
        values = np.exp(logits - logits.max()) if facts["activation"] == "softmax" else 1 / (1 + np.exp(-logits))
        values = values ** (1 / heat) / (values ** (1 / heat)).sum()
        label = labels[int(values[1] >= json.loads(facts["thresholds"])[0]) if len(values) == 2 else values.argmax()]
    print(json.dumps({"path": path, "label": label} | dict(zip(labels, values, strict=True))))
