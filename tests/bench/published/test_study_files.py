"""Readers of the studies' own result files, on tiny files in their true formats."""

import json

from expect import raises

from medzoo.bench.published.read import load_published
from medzoo.bench.published.study_files import compare_with_files, read_auc_csv, read_evaluations, read_test_logs
from medzoo.errors import ResultError, UnknownNameError

DICE = "dice_avg_class_0,dice_avg_class_1,iou_avg_class_1,dice_avg_class_2\n0.99,0.95,0.9,0.85\n"


def test_folds_of_juodelyte(tmp_path):
    file = tmp_path / "results" / "AUC.csv"
    file.parent.mkdir()
    head = "target,source,freeze,fold,AUC\n"
    file.write_text(
        head
        + "isic,ImageNet,freezeFalse,fold2,0.92\nisic,ImageNet,freezeFalse,fold1,0.95\nisic,random,freezeTrue,fold1,0.5\n"
    )
    assert read_auc_csv(tmp_path) == {
        ("finetune", "ImageNet", "isic"): (0.95, 0.92),
        ("frozen", "random", "isic"): (0.5,),
    }
    for wrong in (
        head + "isic,ImageNet,freezeFalse,fold1,high\n",
        "target,AUC\nisic,0.9\n",
        head + "isic,a,maybe,fold1,0.9\n",
    ):
        file.write_text(wrong)
        with raises(ResultError, "study-file-invalid", match="line 2"):
            read_auc_csv(tmp_path)
    file.unlink()
    with raises(ResultError, "study-file-invalid"):
        read_auc_csv(tmp_path)


def test_logs_of_jonske(tmp_path):
    def log(experiment, name, content):
        file = tmp_path / "logs_and_checkpoints" / "finetuning" / experiment / name / "test.log"
        file.parent.mkdir(parents=True)
        file.write_text(content)

    log("E1", "PT_SimCLR_I1k_FT_LiTS", DICE)
    log("E1", "PT_SimCLR_I1k_FT_LiTS_f1", DICE.replace("0.85", "0.80"))
    log("E1", "PT_Scratch_FT_CX8", "auc_avg_overall,dice_avg_overall\n0.72,0.2\n")
    log("E4", "PT_SimCLR_RF_FT_R_lineval_f3", "acc,avg_val_loss\n0.94,0.2\n")
    log("E1", "PT_SimCLR_I1k_FT_BraTS_testing", DICE)  # left out, as unfinished experiments are
    log("E3", "PT_SimCLR_I1k_FT_R_noise2", "accuracy\n0.9\n")
    assert read_test_logs(tmp_path) == {
        ("full", "I1k", "LiTS liver"): (0.95, 0.95), ("full", "I1k", "LiTS lesion"): (0.85, 0.80),
        ("full", "Scratch", "CX8"): (0.72,), ("linear", "RF", "R"): (0.94,),
    }  # fmt: skip
    log("E2", "PT_SimCLR_R_FT_RS", "loss\n0.94\n")
    with raises(ResultError, "study-file-invalid", match="RS"):
        read_test_logs(tmp_path)


def test_evaluations_of_krones(tmp_path):
    file = tmp_path / "Outputs" / "Evaluation" / "Xray14_test_official" / "14_diseases" / "3D_vit_small_results.txt"
    file.parent.mkdir(parents=True)
    found = [{"decision_threshold": 0.1, "auc_mean": 0.77}, {"decision_threshold": 0.2, "auc_mean": 0.77}]
    content = {
        "/x/CXR8/2.2_imagenet_scratch_3D/seed_11/best_checkpoint.pth": [{**found[0], "auc_mean": 0.78}],
        "/x/CXR8/2.2_imagenet_scratch_3D/seed_0/best_checkpoint.pth": found,
        "/x/ChestXray14/ResNet50_random/ResNet50_random_run_0_best.pth.tar": found,
    }
    file.write_text(json.dumps(content))
    column = "Xray14_test_official 14_diseases"
    assert read_evaluations(tmp_path) == {
        ("vit", "2.2_imagenet_scratch_3D", column): (0.77, 0.78), ("resnet50", "ResNet50_random", column): (0.77,),
    }  # fmt: skip
    for wrong in ("{", '{"a/b/c": []}', '{"a/seed_0/c": [{"auc": 1}]}', "[]"):
        file.write_text(wrong)
        with raises(ResultError, "study-file-invalid"):
            read_evaluations(tmp_path)


def test_stored_numbers_are_compared_with_files(tmp_path):
    study = load_published("juodelyte2023")
    lines = ["target,source,freeze,fold,AUC"]
    for table, freeze in (("finetune", "freezeFalse"), ("frozen", "freezeTrue")):
        for cell in study.table(table).cells:
            lines += [f"{cell.column},{cell.row},{freeze},fold{k},{run}" for k, run in enumerate(cell.runs, 1)]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "AUC.csv").write_text("\n".join(lines))
    assert compare_with_files("juodelyte2023", tmp_path) == []
    name, _, value = lines[1].rpartition(",")
    (tmp_path / "results" / "AUC.csv").write_text("\n".join([lines[0], f"{name},{float(value) + 0.01}", *lines[2:-5]]))
    assert [line.partition(":")[0] for line in compare_with_files("juodelyte2023", tmp_path)] == [
        "finetune / random / thyroid", "frozen / RadImageNet / pcam-small",
    ]  # fmt: skip
    with raises(UnknownNameError, "unknown-study-with-files"):
        compare_with_files("hosseinzadeh2021", tmp_path)
