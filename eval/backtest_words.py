"""Headings of the backtest page in English and Chinese."""

from __future__ import annotations

_HEADINGS = {
    "title": ("Out-of-time backtest", "时间外回测"),
    "simulated": ("SIMULATED", "模拟数据"),
    "window": ("Window", "窗口"),
    "issued": ("Issued", "出具时间"),
    "contents": ("Contents", "目录"),
    "frozen": ("Decisions at the frozen thresholds", "冻结阈值下的决策"),
    "ranking": ("Ranking", "排序能力（ROC）"),
    "baselines": ("Beside the baselines", "与基线对比"),
    "camouflage": ("Recall against camouflage", "召回率与伪装程度"),
    "calibration": ("Scores and calibration", "分数与校准"),
    "availability": ("By availability class", "按信号可用类别"),
    "archetype": ("By kind of fraud", "按欺诈类型"),
    "honest_type": ("By kind of honest person", "按正常用户类型"),
    "gang_novelty": ("Gangs known before and new ones", "已活动团伙与新团伙"),
    "week": ("By week", "按周"),
    "labels": ("Maturity of labels", "标签成熟度"),
    "excluded": ("Orders that do not count", "未计入的订单"),
    "record": ("Record", "存证信息"),
    "few": ("fewer than 50 persons", "少于 50 人"),
    "untold": ("withheld", "不予披露"),
    "verify": (
        "Check this folder with: riskgraph backtest verify REPORT",
        "校验：riskgraph backtest verify REPORT",
    ),
}


def heading(key: str, lang: str) -> str:
    """The heading in ``en`` or ``zh``."""
    return _HEADINGS[key][lang == "zh"]
