"""What a person wants to know about a solver beyond its row: its equation, its idea in plain words, its good range.

Symbols, the same in every entry: one step goes from time s to the less noisy time t; x_t = alpha_t x0 + sigma_t eps;
lambda = log(alpha/sigma) grows by h; x0_s and eps_s are the network's estimates at s, r is the step before divided by
this one. `SYMBOLS` says so to people. Needs no torch.
"""

from dataclasses import dataclass

SYMBOLS = (
    r"A step leads from time $s$ to the less noisy time $t$. The state is $x=\alpha x_0+\sigma\varepsilon$: $\alpha$ "
    r"is the share of the picture, $\sigma$ that of the noise. $\hat x_s$ is the network's estimate of the clean "
    r"picture at $s$, $\hat\varepsilon_s$ that of the noise. $\lambda=\log(\alpha/\sigma)$, $h=\lambda_t-\lambda_s>0$, "
    r"$r$ is the step before divided by this one, $z$ is fresh noise. $\psi_1=e^h-1$, $\psi_{k+1}=\psi_k/h-1/k!$, "
    r"$\varphi_2=(e^{-h}-1)/h+1$, $\varphi_3=\varphi_2/h-1/2$."
)


@dataclass(frozen=True)
class Notes:
    """equation: LaTeX without delimiters. text: the idea and its limits, plain words. good_steps: a range in words."""

    equation: str
    text: str
    good_steps: str


_LINE = r"x_t=\frac{\sigma_t}{\sigma_s}x_s-\alpha_t\,(e^{-h}-1)\,D"
_NOISE_LINE = r"x_t=\frac{\alpha_t}{\alpha_s}x_s-\sigma_t\,(e^{h}-1)\,D"
_PARABOLA = (r"D'=D'_0+\tfrac{r_0}{r_0+r_1}(D'_0-D'_1),\qquad D''=\tfrac{c}{r_0+r_1}(D'_0-D'_1)")

NOTES: dict[str, Notes] = {
    "ddpm": Notes(
        r"x_t=\mathbb E\,[x_t\mid x_s,\hat x_s]+\varsigma z,\qquad "
        r"\varsigma=\sigma_t\sqrt{1-e^{-2h}}\ \text{(small)}",
        "Undoes the noising step by step: each step draws from the law of the state one step earlier, as if the "
        "estimate of the clean picture were true. The fresh noise repairs earlier errors, which is why many steps look "
        "good, and needs time to fade, which is why few steps do not.",
        "100 to 1000 steps"),
    "ddim": Notes(
        r"x_t=\alpha_t\hat x_s+\sqrt{\sigma_t^2-n^2}\;\hat\varepsilon_s+n z,\qquad n=\eta\,\sigma_t\sqrt{1-e^{-2h}}",
        "Splits the state into picture and noise, as the network sees them, and mixes the two again at the next "
        "noise level. With noise 0 it follows the probability-flow equation exactly wherever the estimate does not "
        "change. With noise 1 it is DDPM.",
        "20 to 100 steps"),
    "euler": Notes(
        r"X_t=X_s+(S_t-S_s)\,\frac{X_s-\hat x_s}{S_s},\qquad X=\frac{x}{\alpha},\ S=\frac{\sigma}{\alpha}",
        "A straight line along the flow, in the coordinates where the signal has weight 1. It is the same step as "
        "DDIM without noise, written as EDM writes it.",
        "20 to 100 steps"),
    "heun": Notes(
        r"X_t=X_s+\frac{S_t-S_s}{2}\Big(\frac{X_s-\hat x_s}{S_s}+\frac{\tilde X_t-\hat x(\tilde X_t)}{S_t}\Big)",
        r"Takes an Euler step, looks at the direction there, and goes back to use the mean of both directions. Two "
        "calls per step buy second order. It is steady, but with 10 calls or fewer too many of them go into looking.",
        "15 to 40 steps (30 to 80 calls)"),
    "spndm": Notes(
        r"x_t=\varphi\big(x_s,\ \tfrac32\hat\varepsilon_s-\tfrac12\hat\varepsilon_{s-1},\ s\to t\big)",
        "Extrapolates the noise from the last two steps and moves the state with DDIM's own map instead of a straight "
        "line, so that it stays where noisy pictures live. The first step takes two calls.",
        "20 to 50 steps, even in time only"),
    "fpndm": Notes(
        r"x_t=\varphi\big(x_s,\ \tfrac1{24}(55\hat\varepsilon_s-59\hat\varepsilon_{s-1}+37\hat\varepsilon_{s-2}"
        r"-9\hat\varepsilon_{s-3}),\ s\to t\big)",
        "As S-PNDM, with four points. Three slow first steps (Runge-Kutta, four calls each) fill its memory. The name "
        "says fourth order, but the map it moves along is curved, so the order is 2 with a small constant.",
        "20 to 100 steps, even in time only"),
    "dpm_solver_1": Notes(
        _NOISE_LINE.replace("D", r"\hat\varepsilon_s"),
        "Solves the linear part of the flow exactly and takes the noise estimate as constant during the step. It is "
        "DDIM, derived as the simplest exponential integrator.",
        "20 to 100 steps"),
    "dpm_solver_2s": Notes(
        _NOISE_LINE + r",\qquad D=\hat\varepsilon_s+\tfrac1{2r_1}\big(\hat\varepsilon_u-\hat\varepsilon_s\big)",
        "Looks once at a point half way in log-SNR and uses the noise estimate there. Forgets everything between "
        "steps. With strong guidance the noise form becomes unstable: take DPM-Solver++ then.",
        "8 to 25 steps (16 to 50 calls)"),
    "dpm_solver_3s": Notes(
        r"x_t=\frac{\alpha_t}{\alpha_s}x_s-\sigma_t(e^h-1)\hat\varepsilon_s-\frac{\sigma_t}{r_2}"
        r"\Big(\frac{e^h-1}{h}-1\Big)\big(\hat\varepsilon_{u_2}-\hat\varepsilon_s\big)",
        "Two looks inside the step, at one third and two thirds of it. Third order holds only for these two points.",
        "5 to 15 steps (15 to 45 calls)"),
    "dpm_solver_fast": Notes(
        r"\text{calls}=3+3+\dots+\{2,1\}\quad\text{in steps of DPM-Solver-3, -2 and -1}",
        "Spends a fixed number of calls: as many third-order steps as fit, then lower orders for the rest. Here a "
        "step counts as one call.",
        "10 to 30 calls"),
    "dpm_solver_2m": Notes(
        _NOISE_LINE + r",\qquad D=\hat\varepsilon_s+\tfrac1{2r}\big(\hat\varepsilon_s-\hat\varepsilon_{s-1}\big)",
        "Remembers the estimate of the step before and continues the line through both. Second order for one call "
        "per step.",
        "15 to 50 steps, without guidance"),
    "dpm_solver_3m": Notes(
        r"x_t=\frac{\alpha_t}{\alpha_s}x_s-\sigma_t\big[\psi_1\hat\varepsilon_s+\psi_2D'+\psi_3D''\big],\quad "
        + _PARABOLA,
        "A parabola through the last three noise estimates. As published c is 1 and the order stays 2; with "
        "\u201cTrue third order\u201d c is 2 and the order is 3.",
        "15 to 50 steps, without guidance"),
    "dpmpp_1": Notes(
        _LINE.replace("D", r"\hat x_s"),
        "The same idea as DPM-Solver-1 with the clean picture held constant instead of the noise. Both give DDIM.",
        "20 to 100 steps"),
    "dpmpp_2s": Notes(
        _LINE + r",\qquad D=\hat x_s+\tfrac1{2r_1}\big(\hat x_u-\hat x_s\big)",
        "One look half way, in terms of the clean picture, which stays bounded under strong guidance. 2M reaches the "
        "same accuracy for half the calls.",
        "8 to 25 steps (16 to 50 calls)"),
    "dpmpp_3s": Notes(
        r"x_t=\frac{\sigma_t}{\sigma_s}x_s-\alpha_t(e^{-h}-1)\hat x_s+\frac{\alpha_t}{r_2}"
        r"\Big(\frac{e^{-h}-1}{h}+1\Big)\big(\hat x_{u_2}-\hat x_s\big)",
        "Two looks inside the step. Accurate when calls are plenty; below 15 calls a multistep solver is better.",
        "5 to 15 steps (15 to 45 calls)"),
    "dpmpp_2m": Notes(
        _LINE + r",\qquad D=\hat x_s+\tfrac1{2r}\big(\hat x_s-\hat x_{s-1}\big)",
        "Continues the line through the last two estimates of the clean picture. One call per step, second order, "
        "steady with guidance: the first choice when in doubt.",
        "15 to 30 steps"),
    "dpmpp_3m": Notes(
        r"x_t=\frac{\sigma_t}{\sigma_s}x_s-\alpha_t(e^{-h}-1)\hat x_s+\alpha_t\varphi_2D'-\alpha_t\varphi_3D'',\quad "
        + _PARABOLA,
        "A parabola through the last three estimates. As published c is 1 and the order 2; \u201cTrue third "
        "order\u201d sets c to 2, and then it equals UniPC-3 without its corrector.",
        "15 to 50 steps"),
    "sde_dpmpp_2m": Notes(
        r"x_t=\frac{\sigma_t}{\sigma_s}e^{-\eta h}x_s-\alpha_t\big(e^{-(1+\eta)h}-1\big)D"
        r"+\sigma_t\sqrt{1-e^{-2\eta h}}\;z",
        "2M with fresh noise in every step: follows the reverse stochastic equation. Errors are washed out, detail is "
        "richer, but the same start noise no longer leads to one picture.",
        "20 to 50 steps"),
    "unipc_1": Notes(
        _LINE + r",\quad D=\hat x_s\ \text{(predict)},\quad D=\tfrac12(\hat x_s+\hat x_t)\ \text{(correct)}",
        "Predicts with DDIM. When the next call has been made anyway, it goes back and repeats the step with the mean "
        "of both ends. The correction costs no call and gains one order.",
        "15 to 50 steps"),
    "unipc_2": Notes(
        r"x_t=\frac{\sigma_t}{\sigma_s}x_s-\alpha_t(e^{-h}-1)\hat x_s-\alpha_tB(h)\sum_{i\le 2}\rho_i\,"
        r"\frac{\hat x_{i}-\hat x_s}{r_i}",
        "Predicts as 2M does and corrects with the next estimate: third order for one call per step. The weights "
        "rho solve a small linear system. The choice with guidance.",
        "8 to 20 steps"),
    "unipc_3": Notes(
        r"x_t=\frac{\sigma_t}{\sigma_s}x_s-\alpha_t(e^{-h}-1)\hat x_s-\alpha_tB(h)\sum_{i\le 3}\rho_i\,"
        r"\frac{\hat x_{i}-\hat x_s}{r_i}",
        "The same with one more point: fourth order for one call per step. Very accurate on smooth problems; with "
        "strong guidance its long memory can hurt.",
        "6 to 20 steps"),
    "dpm_solver_adaptive": Notes(
        r"E=\Big\|\frac{x_{\text{high}}-x_{\text{low}}}{\max(a,\,\rho|x|)}\Big\|_{\text{rms}},\quad "
        r"E\le 1:\ \text{accept},\qquad h\leftarrow 0.9\,h\,E^{-1/p}",
        "Takes each step with two orders at once. Where they agree the step is kept and the next one is longer; where "
        "they differ it is tried again, shorter. The tolerance decides how many calls that makes, so the number of "
        "steps has no effect.",
        "about 30 calls; more for a smaller tolerance"),
    "dpm_solver_v3": Notes(
        r"\frac{x_t}{\alpha_t}=e^{-L}\Big[\frac{x_s}{\alpha_s}-g_s\!\int\! e^{L+S}-\!\int\! e^{L+S}B"
        r"-\sum_k\frac{g^{(k)}}{k!}\!\int\! e^{L+S}(u-\lambda_s)^k\Big]",
        "Asks beforehand how this model changes along its paths, and chooses for every noise level the quantity that "
        "changes least: between noise and clean picture, with a linear part taken out. l, s and b are measured once "
        "per model; L, S and B are their integrals over the step.",
        "5 to 20 steps"),
    "usf": Notes(
        r"x_t=\frac{\sigma_t}{\sigma_s}x_s+\alpha_t\sum_{i<p}w_i(h)\,\hat x^{(i)},"
        r"\qquad w_i=\int_0^h e^{\tau-h}\frac{\tau^i}{i!}\,d\tau",
        "A plan says for every step where it ends, what is predicted, the order, how derivatives are estimated and "
        "whether to correct. Known solvers are such plans; a search finds better ones for a given model and number "
        "of calls.",
        "3 to 20 calls: one plan for each number"),
    "time_shift": Notes(
        r"\tau_s=\arg\min_{\tau\in[s-w/2,\,s+w/2]}\big|\operatorname{var}(x_s)-\sigma_\tau^2\big|",
        "A model that runs on its own states meets a little more or less noise than the clock says. The variance of "
        "the state tells which time it really looks like, and that time is used. It corrects a trained model's bias; "
        "on an exact model, or on points in the plane, it only disturbs.",
        "5 to 20 steps, pictures only"),
    "dpm_ot": Notes(
        r"T(x)=y_{i^*},\qquad i^*=\arg\max_i\,\big(\langle x,y_i\rangle+h_i\big)",
        "Jumps from pure noise straight to a noisy training picture, the one that optimal transport assigns to it, "
        "and takes a few ordinary steps from there. The heights h are fitted so that every target is used equally "
        "often. Results stay near the targets unless the level of the jump is noisy.",
        "5 to 15 steps"),
    "interpolant_sde": Notes(
        r"dX=(-u+w\,s)\,dr+\sqrt{2w}\,dW,\qquad s=-\hat\varepsilon/\sigma",
        "The flow's velocity plus any amount of diffusion w, which the score balances, so that the law of the "
        "results is the same for every w. Diffusion washes out the errors of a model and costs steps.",
        "50 to 250 steps"),
    "resfusion": Notes(
        r"x_t=\mathbb E\,[x_t\mid x_s,\hat x_s,y]+\varsigma z,\qquad x=\alpha x_0+(1-\alpha)\,y+\sigma\varepsilon",
        "Starts from the damaged picture y plus noise instead of from noise alone, and removes damage and noise "
        "together. Only for restoration networks that were trained so.",
        "5 steps, up to 40 for more variety"),
}


def notes(name: str) -> Notes:
    """The notes of the solver with this catalogue name. Raises KeyError for a name without notes."""
    return NOTES[name]
