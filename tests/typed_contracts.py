"""mypy compares every task family, objective and analysis with its Protocol here. Add one line for a new file.

`python -m mypy` reads this file (pyproject.toml); `tests/test_typed_contracts.py` reports a file that is missing. A missing name,
a misspelled parameter or a wrong type is an error in the line of that file.
"""

from medzoo.analysis import Analysis
from medzoo.analysis import _template as analysis_template
from medzoo.data.task_registry import TaskFamily
from medzoo.data.tasks import _template as task_template
from medzoo.data.tasks import (
    brats,
    busi,
    cbis_ddsm,
    chest_pneumonia,
    chestdr,
    chexpert,
    covidx,
    covidx_ct,
    custom,
    drive,
    imagenet,
    inat2021,
    isic,
    kimia,
    knee,
    lits,
    medmnist,
    mimic_cxr,
    montgomery,
    nih_cxr,
    oct,
    padchest,
    pcam,
    phantom,
    radimagenet,
    rsna_pe,
    rsna_pneumonia,
    scr,
    shards,
    shenzhen,
    siim,
    thyroid,
    vindr_cxr,
)
from medzoo.training.objectives import Objective, byol, mocov3, simclr, supervised, swav
from medzoo.training.objectives import _template as objective_template
from medzoo.training.trainable import Trainable

FAMILIES: list[TaskFamily] = [
    task_template,
    brats,
    busi,
    cbis_ddsm,
    chest_pneumonia,
    chestdr,
    chexpert,
    covidx,
    covidx_ct,
    custom,
    drive,
    imagenet,
    inat2021,
    isic,
    kimia,
    knee,
    lits,
    medmnist,
    mimic_cxr,
    montgomery,
    nih_cxr,
    oct,
    padchest,
    pcam,
    phantom,
    radimagenet,
    rsna_pe,
    rsna_pneumonia,
    scr,
    shards,
    shenzhen,
    siim,
    thyroid,
    vindr_cxr,
]
OBJECTIVES: list[Objective] = [objective_template, byol, mocov3, simclr, supervised, swav]
TRAINABLE: list[type[Trainable]] = [
    objective_template.Objective,
    byol.Objective,
    mocov3.Objective,
    simclr.Objective,
    supervised.Objective,
    swav.Objective,
]
ANALYSES: list[Analysis] = [analysis_template]
