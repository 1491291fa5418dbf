#!/usr/bin/python3
"""Fit a classifier to each table below /datasets and leave what was found in /workspace.

Reads  /datasets/cancer, /datasets/wine   (the tables that come with scikit-learn)
Writes scores.csv, predictions.csv        what the models reach, and what they said about each row
       models.joblib                      the fitted models
       report.png                         the tables on two axes, and what matters in them
"""
import os
import sys
import time

import matplotlib

matplotlib.use("Agg")
import joblib
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DATASETS = os.environ.get("DATASETS", "/datasets")
WORKSPACE = os.environ.get("WORKSPACE", "/workspace")

MEASURES = "radius texture perimeter area smoothness compactness concavity concave_points symmetry fractal"
COLUMNS = {
    "cancer": [f"{kind}_{m}" for kind in ("mean", "error", "worst") for m in MEASURES.split()],
    "wine": "alcohol malic_acid ash alcalinity magnesium phenols flavanoids nonflavanoid "
            "proanthocyanins color hue od280 proline".split(),
}
COLORS = ["#c0392b", "#2471a3", "#7d8c2e"]


def load(name):
    """The table of one dataset: a file, or the only .csv in a directory."""
    path = os.path.join(DATASETS, name)
    if os.path.isdir(path):
        tables = sorted(f for f in os.listdir(path) if f.endswith(".csv"))
        path = os.path.join(path, tables[0])
    with open(path) as f:
        classes = f.readline().strip().split(",")[2:]
    table = pd.read_csv(path, skiprows=1, header=None, names=COLUMNS[name] + ["class"])
    table["class"] = table["class"].map(dict(enumerate(classes)))
    return table


def models():
    yield "logistic regression", make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    yield "random forest", RandomForestClassifier(n_estimators=200, random_state=1)


def fit(name, table):
    """Scores and the better model of one table; cross-validated, then tested on held-out rows."""
    x, y = table[COLUMNS[name]], table["class"]
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.3, stratify=y, random_state=1)
    scores = []
    for label, model in models():
        start = time.perf_counter()
        folds = cross_val_score(model, train_x, train_y, cv=5)
        model.fit(train_x, train_y)
        scores.append({
            "dataset": name, "model": label, "rows": len(table),
            "cv_mean": folds.mean(), "cv_std": folds.std(),
            "test_accuracy": accuracy_score(test_y, model.predict(test_x)),
            "seconds": time.perf_counter() - start, "fitted": model,
        })
    best = max(scores, key=lambda s: s["cv_mean"])
    said = pd.DataFrame({"dataset": name, "row": test_x.index, "truth": test_y,
                         "predicted": best["fitted"].predict(test_x)})
    return scores, best, said


def draw(axes, name, table, forest):
    """Left: the rows on the two main axes of the table. Right: the columns that matter most."""
    points = PCA(2).fit_transform(StandardScaler().fit_transform(table[COLUMNS[name]]))
    for color, label in zip(COLORS, sorted(table["class"].unique())):
        mask = (table["class"] == label).to_numpy()
        axes[0].scatter(points[mask, 0], points[mask, 1], s=9, alpha=0.6, color=color, label=label)
    axes[0].set_title(f"{name}: {len(table)} rows on two axes")
    axes[0].legend(fontsize=8)
    weight = pd.Series(forest.feature_importances_, COLUMNS[name]).nlargest(8)[::-1]
    axes[1].barh(weight.index, weight.to_numpy(), color="#5d6d7e")
    axes[1].set_title(f"{name}: columns that matter most")


def main():
    figure, axes = plt.subplots(2, 2, figsize=(10, 8))
    all_scores, all_said, best_models = [], [], {}
    for line, name in enumerate(COLUMNS):
        table = load(name)
        scores, best, said = fit(name, table)
        forest = next(s["fitted"] for s in scores if s["model"] == "random forest")
        draw(axes[line], name, table, forest)
        all_scores += scores
        all_said.append(said)
        best_models[name] = best["fitted"]
    table = pd.DataFrame(all_scores).drop(columns="fitted").round(4)
    table.to_csv(os.path.join(WORKSPACE, "scores.csv"), index=False)
    pd.concat(all_said).to_csv(os.path.join(WORKSPACE, "predictions.csv"), index=False)
    joblib.dump(best_models, os.path.join(WORKSPACE, "models.joblib"), compress=3)
    figure.tight_layout()
    figure.savefig(os.path.join(WORKSPACE, "report.png"), dpi=110)
    print(table.to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
