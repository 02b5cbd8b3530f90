"""The questions of article 93 of China's Civil Evidence Provisions, answered from the figures of one bundle.

最高人民法院关于民事诉讼证据的若干规定（2019年修正）第九十三条, items one to six: whether the systems were complete
and reliable, working, watched for errors; whether the data were kept, sent and extracted whole and how; whether they
arose in the ordinary course; who kept and extracted them. An answer states what the data show and what they do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.evidence_bundles.facts import Facts

MAX_PLACES = 20  # named in a sentence


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and what the data say, in both languages."""

    question_zh: str
    question_en: str
    zh: str
    en: str


def answers(facts: Facts) -> tuple[Answer, ...]:
    """Return the six answers."""
    return (_complete(facts), _working(facts), _watched(facts), _kept(facts), _ordinary(facts), _who(facts))


def hours(seconds: int) -> str:
    """Seconds as hours with one decimal."""
    return f"{seconds / 3600:.1f}"


def _complete(facts: Facts) -> Answer:
    chains, events = len(facts.terminals), facts.total("events")
    holes = facts.total("erased") + facts.total("missing")
    return Answer(
        "一、生成、存储、传输电子数据所依赖的计算机系统软硬件环境是否完整、可靠？",
        "1. Were the systems that made, kept and sent the data complete and reliable?",
        f"本证据包涉及 {chains} 条终端签名链，完整出示事件 {events} 个。序号从 0 到链尾逐一交代："
        f"期间以外 {facts.total('outside')} 个，因涉及他人而不出示 {facts.total('withheld')} 个，"
        f"已依法删除并留有墓碑记录 {facts.total('erased')} 个，经考勤中心声明永久缺失 {facts.total('missing')} 个"
        f"{_authorised_zh(facts)}。"
        f"{'没有无法解释的缺号。' if not facts.problems else '核验中发现问题，见下。'}"
        "这些数字说明的是签名记录的完整性，硬件本身的品质不在证明之列。",
        f"{chains} signed chain(s) of terminals, {events} events shown in full. Every number from 0 to the end of each "
        f"chain is accounted for: {facts.total('outside')} outside of the period, {facts.total('withheld')} withheld "
        f"as somebody else's, {facts.total('erased')} erased with a tombstone, {facts.total('missing')} declared "
        f"missing by the collector{_authorised_en(facts)}. "
        f"{'No number is unexplained.' if not facts.problems else 'Problems: see below.'} "
        f"{'' if holes else 'Nothing was erased or lost. '}This is about the record; it proves nothing about the "
        "quality of the hardware.",
    )


def _working(facts: Facts) -> Answer:
    zh, en = [], []
    for one in facts.terminals:
        found = one.coverage
        percent = 100 * found.observed_s // max(1, found.period_s)
        zh.append(
            f"终端 {one.device}：期间共 {hours(found.period_s)} 小时，其中 {hours(found.observed_s)} 小时（{percent}%）"
            f"终端签名声明自身处于可记录状态，有 {len(found.holes)} 段无声明。"
        )
        en.append(
            f"Terminal {one.device}: of the period's {hours(found.period_s)} hours it signed for "
            f"{hours(found.observed_s)} ({percent} %) that it could record; {len(found.holes)} stretch(es) without a "
            "statement."
        )
    gone = [one for one in facts.terminals if one.erased or one.missing]
    for one in gone:
        zh.append(f"终端 {one.device}：已删除 {one.erased} 个事件，声明缺失 {one.missing} 个，其中可能有打卡。")
        en.append(f"Terminal {one.device}: {one.erased} erased and {one.missing} missing events may have been punches.")
    return Answer(
        "二、系统是否处于正常运行状态？不正常时对数据有无影响？",
        "2. Were the systems working normally, and if not, did it affect the data?",
        "".join(zh) + "“没有打卡”只在终端声明可记录的时段内才有意义，其余时段不能据此认定缺勤。",
        " ".join(en)
        + ' "No punch" means something only where the terminal signed that it could record; elsewhere it is no sign of '
        "absence.",
    )


def _watched(facts: Facts) -> Answer:
    late = "、".join(f"{_LATE[why][0]} {count} 次" for why, count in facts.late.items()) or "0 次"
    late_en = ", ".join(f"{count} {_LATE[why][1]}" for why, count in facts.late.items()) or "none"
    return Answer(
        "三、是否具备有效的防止出错的监测、核查手段？",
        "3. Were there effective means to detect and prevent errors?",
        "每个事件含终端签名、前一事件的哈希和时钟来源；改动、删除、插入、换序均会在核验时被指出。"
        f"本包 {len(facts.punches)} 次打卡中，时钟未同步 {facts.unsynced} 次；迟到送达：{late}。"
        f"由考勤中心签名声明永久缺失的事件 {facts.total('missing')} 个，未作任何填补。"
        f"在终端被吊销之后收到 {facts.after_revocation} 个事件，均不作“已核实”。",
        "Every event carries the terminal's signature, the hash of the event before it and where its time came from; a "
        "change, deletion, insertion or another order is named when the bundle is checked. Of "
        f"{len(facts.punches)} attempts to punch, {facts.unsynced} had an unsynchronised clock; late to the collector: "
        f"{late_en}. {facts.total('missing')} event(s) were declared missing under the collector's signature; nothing "
        f"was put in their place. {facts.after_revocation} event(s) came after a terminal was revoked; none of these "
        "counts as verified.",
    )


def _kept(facts: Facts) -> Answer:
    return Answer(
        "四、数据是否被完整地保存、传输、提取，方法是否可靠？",
        "4. Were the data kept, sent and extracted whole, by reliable methods?",
        f"事件按终端签名的原始字节保存和出示，并逐一附有到账本检查点（{facts.tree_size} 条记录，账本 {facts.origin}）的"
        f"默克尔包含证明；首尾两个检查点之间有一致性证明。检查点另有 {facts.cosignatures} 个见证签名、"
        f"{facts.timestamps} 个可信时间戳。{_erased_zh(facts)}"
        f"{'制作时对本包的核验没有发现问题。' if not facts.problems else f'制作时发现 {len(facts.problems)} 处问题。'}",
        "The events are kept and shown as the bytes that the terminals signed, each with a Merkle inclusion proof to "
        f"the checkpoint over {facts.tree_size} entries of the ledger {facts.origin}; a consistency proof connects the "
        f"first and the last checkpoint. The checkpoint carries {facts.cosignatures} cosignature(s) of witnesses and "
        f"{facts.timestamps} time-stamp token(s). {_erased_en(facts)}"
        + (
            f"Verification found {len(facts.problems)} problem(s) when this was made."
            if facts.problems
            else "Verification found no problem when this was made."
        ),
    )


def _ordinary(facts: Facts) -> Answer:
    counts = "，".join(f"{_VERDICT[name][0]} {count} 次" for name, count in facts.verdicts.items()) or "无打卡"
    counts_en = ", ".join(f"{count} {_VERDICT[name][1]}" for name, count in facts.verdicts.items()) or "no attempt"
    return Answer(
        "五、数据是否在正常的往来活动中形成和存储？",
        "5. Did the data arise in the ordinary course of business?",
        f"记录由固定终端在打卡当时自动生成，期间内：{counts}；当时生效的规则文件 {facts.policies} 份一并附上。"
        "数据不能证明事件是否为诉讼而制作；每个事件在账本中的位置说明它不晚于其后的检查点。",
        f"The records were made by fixed terminals at the moment of each attempt: {counts_en} in the period; the "
        f"{facts.policies} policy document(s) in force are enclosed. The data cannot show for what purpose an event "
        "was made; its place in the ledger shows that it is no later than the checkpoints after it.",
    )


def _who(facts: Facts) -> Answer:
    keys_zh = "；".join(f"{one.device} {one.fingerprint}" for one in facts.terminals)
    return Answer(
        "六、保存、传输、提取电子数据的主体是否适当？",
        "6. Were those who kept, sent and extracted the data fit to do so?",
        f"终端以自己的密钥签名（指纹：{keys_zh}），请与张贴在终端处的纸质指纹核对；"
        f"考勤中心于 {facts.made_at} 提取并封印本包。期间登记的吊销 {facts.revocations} 次。"
        "若同一主体同时掌握终端与考勤中心，须靠纸质指纹、员工回执和外部见证来制约。",
        f"Terminals sign with keys of their own (fingerprints: {keys_zh.replace('；', '; ')}); compare them with the "
        f"paper at the terminal. The collector extracted and sealed this at {facts.made_at}. {facts.revocations} "
        "revocation(s) are on record. Where one party holds terminals and collector, paper fingerprints, workers' "
        "receipts and outside witnesses are what binds it.",
    )


def _authorised_zh(facts: Facts) -> str:
    places = [*facts.authorities["erased"], *facts.authorities["missing"]]
    return f"（依据：考勤中心签名的账本记录第 {_some(places, '、')} 条）" if places else ""


def _authorised_en(facts: Facts) -> str:
    places = [*facts.authorities["erased"], *facts.authorities["missing"]]
    return f" (on the word of ledger entries {_some(places, ', ')}, which it signed)" if places else ""


def _some(places: list[int], between: str) -> str:
    """The first of them: a reader finds all under the coverage and in the index."""
    return between.join(map(str, places[:MAX_PLACES])) + (" …" if len(places) > MAX_PLACES else "")


def _erased_zh(facts: Facts) -> str:
    count = facts.total("erased")
    return f"其中 {count} 个事件的内容已应个人信息删除要求删除，只能证明其位置和哈希，不能证明其内容。" if count else ""


def _erased_en(facts: Facts) -> str:
    count = facts.total("erased")
    what = "was erased as personal data; its place and hash are proved, what it said is not. "
    return f"The content of {count} event(s) {what}" if count else ""


_LATE = {
    "clock_unsynced": ("时钟未同步", "with an unsynchronised clock"),
    "offline": ("终端断网", "while the terminal was offline"),
    "unexplained": ("原因不明", "unexplained"),
}
_VERDICT = {"verified": ("已核实", "verified"), "review": ("待复核", "for review"), "refused": ("被拒绝", "refused")}
