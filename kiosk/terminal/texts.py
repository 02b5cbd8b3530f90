"""Every word on the worker's screen, Chinese and English, in one table.

A reason code has two texts: what happened, and what to do next. No page shows a code itself; one that is not in the
table reads as `error` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from evidence.events import Ask, LogType, Method, Verdict
from kiosk.terminal.view import Phase

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


@dataclass(frozen=True, slots=True)
class Words:
    """One text in both languages."""

    zh: str
    en: str

    def __getitem__(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


class Reason(NamedTuple):
    """What happened, and what to do about it."""

    what: Words
    do: Words


def _r(what_zh: str, do_zh: str, what_en: str, do_en: str) -> Reason:
    return Reason(Words(what_zh, what_en), Words(do_zh, do_en))


_PIN_INSTEAD_ZH, _PIN_INSTEAD_EN = "请用工号和密码打卡。", "Use badge number and PIN."
_CALL_ZH, _CALL_EN = "请告诉现场管理员。", "Tell the site manager."
_RECORDED_ZH, _RECORDED_EN = "您不用做什么，管理员会核实。", "Nothing to do: the manager will check."

REASONS: dict[str, Reason] = {
    # what the camera sees
    "no_face": _r("没有看到人脸", "请站到屏幕正前方", "No face in view", "Stand in front of the screen"),
    "two_faces": _r("画面里有两张脸", "请其他人退后一步", "Two faces in view", "Ask the others to step back"),
    "too_far": _r("离得太远", "请走近一点", "Too far away", "Come closer"),
    "too_dark": _r("光线太暗", "请转向亮处", "Too dark", "Turn towards the light"),
    "too_bright": _r("光线太强", "请避开背后的强光", "Too bright", "Turn away from the glare"),
    "blurred": _r("画面模糊", "请站稳不动", "The picture is blurred", "Hold still"),
    "sunglasses": _r("戴着墨镜", "请摘下墨镜", "Dark glasses", "Take off the sunglasses"),
    "turned_away": _r("没有正对屏幕", "请看这里，正对屏幕", "Face turned away", "Look here, straight at the screen"),
    "out_of_frame": _r("脸不在画面中间", "请移到画面中间", "Face not in the middle", "Move to the middle"),
    # the prompt
    "no_answer": _r(
        "没有看到动作", "请再试一次，按提示做动作。", "No movement was seen", "Try again and follow the prompt."
    ),
    "wrong_answer": _r(
        "动作与提示不符",
        "请再试一次，看清箭头再动。",
        "The movement was another one",
        "Try again: look at the arrow first.",
    ),
    "too_early": _r("动作太早", "请看到提示后再动。", "The movement came too early", "Wait for the prompt, then move."),
    "moved_before_prompt": _r(
        "提示前已经在动", "请先站稳，看到提示再动。", "Moved before the prompt", "Hold still until the prompt."
    ),
    "not_asked": _r("还没有给出动作提示", "请再试一次。", "No prompt was given", "Try again."),
    # liveness and continuity
    "flat": _r(
        "看起来不像真人",
        "请本人再试一次，或用工号和密码。",
        "This does not look like a live face",
        "Try again in person, or use badge and PIN.",
    ),
    "too_little_turn": _r(
        "转头幅度太小", "请再试一次，头多转一些。", "The head turned too little", "Try again and turn further."
    ),
    "points_lost": _r(
        "转头时画面看不清",
        "请再试一次，慢一点转头。",
        "The turn could not be followed",
        "Try again and turn more slowly.",
    ),
    "face_lost": _r(
        "中途看不到脸", "请再试一次，脸不要离开画面。", "The face left the picture", "Try again and stay in view."
    ),
    "face_changed": _r(
        "中途换了人", "请一个人完成打卡。", "Another face appeared", "Only one person at a time, please."
    ),
    "framed": _r(
        "画面像是手机或照片",
        "请本人再试一次，或用工号和密码。",
        "This looks like a phone or a photo",
        "Try again in person, or use badge and PIN.",
    ),
    "moire": _r(
        "画面像是屏幕",
        "请本人再试一次，或用工号和密码。",
        "This looks like a screen",
        "Try again in person, or use badge and PIN.",
    ),
    "excused": _r("已约定不做此项", _RECORDED_ZH, "Left out, as agreed", _RECORDED_EN),
    "held": _r(
        "整个画面在晃动，像是手持屏幕",
        "请本人再试一次，或用工号和密码。",
        "The whole picture moves as if a hand held it",
        "Try again in person, or use badge and PIN.",
    ),
    "exposure_free": _r("摄像头无法固定曝光", _RECORDED_ZH, "The camera cannot hold its exposure", _RECORDED_EN),
    "no_reflection": _r(
        "脸上没有屏幕的反光",
        "请本人再试一次，或用工号和密码。",
        "The face did not reflect the screen",
        "Try again in person, or use badge and PIN.",
    ),
    "bright_room": _r("环境光太强", _RECORDED_ZH, "The light here is too bright", _RECORDED_EN),
    "no_acknowledgement": _r("屏幕没有回应", _RECORDED_ZH, "The screen did not answer", _RECORDED_EN),
    "switched_off": _r("本机没有启用", _RECORDED_ZH, "Not switched on at this terminal", _RECORDED_EN),
    "replayed": _r(
        "与之前的画面相同",
        "请本人再试一次，或用工号和密码。",
        "The same movement was seen before",
        "Try again in person, or use badge and PIN.",
    ),
    # recognition
    "no_match": _r(
        "与登记的人脸不符",
        "请检查工号，或用工号和密码。",
        "The face does not fit this badge",
        "Check the badge number, or use badge and PIN.",
    ),
    "ambiguous": _r(
        "无法确定是哪位员工",
        "请先输入工号再刷脸。",
        "More than one worker is possible",
        "Type your badge number first.",
    ),
    "badge_needed": _r(
        "本机人数较多，需要先输入工号",
        "请先输入工号再刷脸。",
        "With so many workers here a badge number is needed",
        "Type your badge number first.",
    ),
    "not_enrolled": _r("该工号没有登记人脸", _PIN_INSTEAD_ZH, "No face is enrolled for this badge", _PIN_INSTEAD_EN),
    "gallery_empty": _r("本机还没有登记人脸", _PIN_INSTEAD_ZH, "No faces are enrolled here yet", _PIN_INSTEAD_EN),
    # place
    "outside": _r("终端不在工地范围内", _CALL_ZH, "The terminal is outside its site", _CALL_EN),
    "no_fix": _r("没有卫星定位", _RECORDED_ZH, "No satellite position", _RECORDED_EN),
    "antenna_lost": _r("定位天线断开", _RECORDED_ZH, "The GPS antenna is cut off", _RECORDED_EN),
    "suspect": _r("定位信号可疑", _RECORDED_ZH, "The position signal looks false", _RECORDED_EN),
    "moving": _r("终端正在移动", _CALL_ZH, "The terminal is moving", _CALL_EN),
    "insufficient": _r("定位不够准确", _RECORDED_ZH, "The position is not exact enough", _RECORDED_EN),
    "no_receiver": _r("定位模块未连接", _CALL_ZH, "The position receiver is missing", _CALL_EN),
    "stale": _r("有一段时间没有收到信号", _RECORDED_ZH, "Nothing has been received for a while", _RECORDED_EN),
    "not_heard": _r("没有收到现场信标", _CALL_ZH, "The site beacon was not heard", _CALL_EN),
    "no_scanner": _r("蓝牙未工作", _CALL_ZH, "Bluetooth is not working", _CALL_EN),
    # the badge that a worker wears
    "badge_not_heard": _r("没有收到您的工牌信号", "请把工牌戴在身上。", "Your badge was not heard", "Wear your badge."),
    "eid_used": _r(
        "工牌信号刚用过", "您不用做什么。", "Your badge's signal has served a punch already", "Nothing to do."
    ),
    # badge and PIN
    "wrong_pin": _r(
        "工号或密码不对",
        "请重新输入，忘记密码请找管理员。",
        "Badge number or PIN is wrong",
        "Type it again; ask the manager if you forgot it.",
    ),
    "locked": _r(
        "输错次数太多，暂时锁定",
        "请刷脸，或过几分钟再试。",
        "Locked after too many wrong PINs",
        "Use your face, or try again in some minutes.",
    ),
    "no_pin": _r(
        "该工号没有设密码",
        "请刷脸，或请管理员设密码。",
        "No PIN is set for this badge",
        "Use your face, or ask the manager for a PIN.",
    ),
    "face_locked": _r(
        "刷脸失败次数太多，暂时锁定",
        "请用工号和密码，或请主管确认。",
        "Locked after too many tries by face",
        "Use badge and PIN, or ask a supervisor.",
    ),
    # a supervisor stands for a worker
    "confirmed": _r("主管已确认", _RECORDED_ZH, "Confirmed by a supervisor", _RECORDED_EN),
    "own_punch": _r(
        "不能为自己确认",
        "请刷脸，或请另一位主管确认。",
        "Nobody confirms himself",
        "Use your face, or ask another supervisor.",
    ),
    "no_supervisor": _r(
        "该工号不是本机的主管",
        "请检查主管的工号。",
        "No supervisor has this number here",
        "Check the supervisor's number.",
    ),
    "not_confirmed": _r(
        "没有确认主管本人",
        "请主管再刷脸，或输入密码。",
        "The supervisor was not identified",
        "The supervisor tries again, by face or PIN.",
    ),
    "too_many_confirmations": _r(
        "该主管一小时内确认太多",
        "请另一位主管确认，或用其他方式。",
        "This supervisor has confirmed too many",
        "Ask another supervisor, or use another way.",
    ),
    "next_person": _r(
        "还是主管在镜头前",
        "请主管让开，新工人站过来",
        "Still the supervisor in view",
        "The new worker steps in front now",
    ),
    # the terminal itself
    "disk_full": _r(
        "存储已满，无法记录",
        "请用另一台终端，并告诉管理员。",
        "The storage is full: nothing can be recorded",
        "Use another terminal and tell the manager.",
    ),
    "journal_failed": _r(
        "存储出错，无法记录",
        "请用另一台终端，并告诉管理员。",
        "The storage failed: nothing can be recorded",
        "Use another terminal and tell the manager.",
    ),
    "camera_stalled": _r("摄像头没有画面", _PIN_INSTEAD_ZH, "The camera gives no picture", _PIN_INSTEAD_EN),
    "camera_ended": _r("摄像头画面已结束", _PIN_INSTEAD_ZH, "The camera's picture has ended", _PIN_INSTEAD_EN),
    "camera_failed": _r("摄像头故障", _PIN_INSTEAD_ZH, "The camera failed", _PIN_INSTEAD_EN),
    "still": _r("本工地没有设置范围", _CALL_ZH, "No area is set for this site", _CALL_EN),
    "low_space": _r("存储空间快满了", _CALL_ZH, "The disk is almost full", _CALL_EN),
    "new_chain": _r("记录簿已换新，等待批准", _CALL_ZH, "A new journal waits for approval", _CALL_EN),
    "journal_damaged": _r(
        "存储损坏，无法记录",
        "请用另一台终端，并告诉管理员。",
        "The storage is damaged: nothing can be recorded",
        "Use another terminal and tell the manager.",
    ),
    "bad_receipt": _r("收到无效回执", _CALL_ZH, "An invalid receipt arrived", _CALL_EN),
    "models_missing": _r("人脸识别不可用", _PIN_INSTEAD_ZH, "Face recognition is not available", _PIN_INSTEAD_EN),
    "face_failed": _r("人脸识别故障", _PIN_INSTEAD_ZH, "Face recognition failed", _PIN_INSTEAD_EN),
    "attempt_hung": _r(
        "终端卡住了，正在重启",
        "请过一分钟再试，或用另一台终端。",
        "The terminal hangs and starts again",
        "Try again in a minute, or use another terminal.",
    ),
    "clock_unsynced": _r(
        "时钟未校准", "打卡会注明时间待核实。", "The clock is not set", "Punches are marked: time to be checked."
    ),
    "scene_covered": _r("摄像头被遮住了", _CALL_ZH, "The camera is covered", _CALL_EN),
    "scene_moved": _r("摄像头被移动过", _CALL_ZH, "The camera was moved", _CALL_EN),
    "scene_unknown": _r("摄像头看到的地方变了", _CALL_ZH, "The camera sees another place", _CALL_EN),
    "scene_unreadable": _r("现场画面资料已损坏", _CALL_ZH, "The stored scene cannot be read", _CALL_EN),
    "enclosure_opened": _r(
        "机箱被打开过，打卡需核实",
        "照常打卡即可；请告诉现场管理员。",
        "The case was opened: punches are checked",
        "Punch as always, and tell the site manager.",
    ),
    "enclosure_unreadable": _r(
        "机箱检测不可用，打卡需核实",
        "照常打卡即可；请告诉现场管理员。",
        "The case cannot be watched: punches are checked",
        "Punch as always, and tell the site manager.",
    ),
    "lamps_failed": _r("指示灯或蜂鸣器故障", _CALL_ZH, "The lamps or the buzzer failed", _CALL_EN),
    "no_badge_reader": _r(
        "读卡器未连接", "请在屏幕上输入工号。", "The badge reader is missing", "Type your badge number on the screen."
    ),
    "badge_codes": _r(
        "工牌对照表有误",
        "请在屏幕上输入工号，并告诉现场管理员。",
        "The list of badges is wrong",
        "Type your badge number, and tell the site manager.",
    ),
    "badge_unknown": _r(
        "不认识这张工牌",
        "请输入工号，并告诉现场管理员。",
        "This badge is not known here",
        "Type your badge number, and tell the site manager.",
    ),
    # any
    "ok": _r("正常", "您不用做什么。", "All is well", "Nothing to do."),
    "timeout": _r("超时了", "请再试一次。", "Time ran out", "Try again."),
    "call_goes_on": _r(
        "点名还没有结束", "请在时间到之前再试一次。", "The call goes on", "Try again before the time is over."
    ),
    "cancelled": _r("已取消", "需要打卡请重新开始。", "Cancelled", "Start again to punch."),
    "error": _r("终端出了问题", _CALL_ZH, "Something is wrong with this terminal", _CALL_EN),
    "not_reached": _r("没有进行到这一步", "请再试一次。", "The check was not reached", "Try again."),
}

HINTS = (
    "no_face",
    "two_faces",
    "too_far",
    "too_dark",
    "too_bright",
    "blurred",
    "sunglasses",
    "turned_away",
    "out_of_frame",
)

PHASES: dict[Phase, Words] = {
    Phase.IDLE: Words("请选择上班或下班", "Choose IN or OUT"),
    Phase.LOOKING: Words("请看屏幕", "Look at the screen"),
    Phase.HOLD: Words("很好，请保持不动", "Good. Hold still"),
    Phase.PROMPT: Words("请按提示做动作", "Follow the prompt"),
    Phase.CHECKING: Words("正在核对…", "Checking…"),
    Phase.CONSENT: Words("请您决定", "Your decision"),
    Phase.RESULT: Words("打卡结果", "Result"),
    Phase.OUT_OF_ORDER: Words("本机暂停使用", "Out of order"),
}

ASKS: dict[Ask, Words] = {
    Ask.TURN_LEFT: Words("请向左转头", "Turn your head left"),
    Ask.TURN_RIGHT: Words("请向右转头", "Turn your head right"),
    Ask.LOOK_UP: Words("请抬头", "Look up"),
    Ask.BLINK: Words("请眨两下眼", "Blink twice"),
    Ask.MOVE_CLOSER: Words("请靠近一点", "Move closer"),
}

VERDICTS: dict[Verdict, Words] = {
    Verdict.VERIFIED: Words("打卡成功", "Recorded"),
    Verdict.REVIEW: Words("已记录，待核实", "Recorded, to be checked"),
    Verdict.REFUSED: Words("未通过", "Refused"),
}

DIRECTIONS: dict[LogType, Words] = {LogType.IN: Words("上班", "IN"), LogType.OUT: Words("下班", "OUT")}
OTHER_TONGUE: dict[LogType, Words] = {LogType.IN: Words("IN", "上班"), LogType.OUT: Words("OUT", "下班")}

METHODS: dict[Method, Words] = {
    Method.FACE: Words("刷脸", "Face"),
    Method.BADGE_PIN: Words("工号＋密码", "Badge + PIN"),
    Method.SUPERVISOR: Words("主管确认", "Supervisor"),
}

WORDS: dict[str, Words] = {
    "language": Words("EN", "中文"),  # the language one would switch to, in that language
    "language_aria": Words("Switch to English", "切换到中文"),
    "online": Words("在线", "Online"),
    "offline": Words("离线", "Offline"),
    "over_https": Words("在线 HTTPS", "Online HTTPS"),
    "all_sent": Words("已全部上传", "All sent"),
    "unsent": Words("{count} 条待上传", "{count} to send"),
    "badge": Words("工号", "Badge no."),
    "badge_optional": Words("工号（可不填）", "Badge no. (optional)"),
    "pin": Words("密码", "PIN"),
    "badge_of_worker": Words("工人工号", "Worker no."),
    "supervisor": Words("主管工号", "Superv. no."),
    "pin_or_face": Words("密码或刷脸", "PIN or face"),
    "type_supervisor": Words("请输主管号", "Superv. no.?"),
    "supervisor_looks": Words("请主管看屏幕", "Supervisor, look here"),
    "enrolling": Words("录入人脸", "Enrolment"),
    "pictures_taken": Words("已拍 {step} 张，共 {steps} 张", "Picture {step} of {steps}"),
    "type_badge": Words("请输入工号", "Type badge no."),
    "type_pin": Words("请输入密码", "Type PIN"),
    "clear": Words("清除", "Clear"),
    "erase": Words("退格", "Erase"),
    "letters": Words("ABC", "ABC"),
    "next": Words("下一项", "Next"),
    "presence_notice": Words(
        "本工地记录在场：从上班到下班，终端记录何时听到您的工牌。",
        "Presence is noted here: from IN to OUT, when this terminal hears your badge.",
    ),
    "method": Words("打卡方式", "How to punch"),
    "more_troubles": Words("另有 {count} 个问题", "{count} more"),
    "cancel": Words("取消", "Cancel"),
    "seconds_left": Words("{count} 秒", "{count} s"),
    "step": Words("第 {step} 步，共 {steps} 步", "Step {step} of {steps}"),
    "your_left": Words("您的左边", "your own left side"),
    "your_right": Words("您的右边", "your own right side"),
    "please_wait": Words("请稍候，马上就好", "One moment, please"),
    "opening_camera": Words("正在打开摄像头…", "Starting the camera…"),
    "wait_for_prompt": Words("等提示出现再动", "Wait for the prompt"),
    "look_hint": Words("把脸对准圆框", "Face inside the oval"),
    "scan": Words("拍下二维码，留作凭证", "Photograph this: your proof"),
    "receipt": Words("凭证号", "Receipt"),
    "no_receipt": Words("没有凭证", "No receipt"),
    "refused_kept": Words("本次尝试已留存，时间不丢", "This attempt and its time are kept"),
    "refused_not_kept": Words("本次没有记录", "Nothing was recorded"),
    "time_unsure": Words("时钟未校准，时间待核实", "Clock not set: time to be checked"),
    "clock_unsure": Words("时钟未校准", "Clock not set"),
    "done": Words("完成", "Done"),
    "again": Words("再试一次", "Try again"),
    "unknown_worker": Words("未识别", "Not identified"),
    "use_other": Words("请用另一台终端，或找现场管理员登记。", "Use another terminal, or tell the site manager."),
    "call": Words("联系人", "Call"),
    "site_manager": Words("现场管理员", "the site manager"),
    "terminal": Words("终端", "Terminal"),
    "title": Words("在岗", "Zaigang"),
    "call_please": Words("请到本终端点名", "Please come to this terminal"),
    "call_left": Words("还有 {time}", "{time} left"),
    "call_here": Words("我来了", "I am here"),
    "call_pin": Words("或输入密码", "or type your PIN"),
    "call_ok": Words("确定", "OK"),
    "call_aside": Words("不是我，我要打卡", "Not me: punch"),
    "consent_transfer": Words(
        "您的人脸资料可否也存到本工地的其他终端上？",
        "May your face also be kept on the other terminals of this site?",
    ),
    "consent_why": Words(
        "同意后，您在其他门也能刷脸打卡。资料加密传送，服务器看不到。",
        "Then you can punch by face at the other gates. It travels encrypted: the server cannot read it.",
    ),
    "consent_free": Words(
        "不同意没有任何影响：本机照常刷脸，其他门用工号和密码。可随时撤回。",
        "No has no drawback: your face works here, badge and PIN elsewhere. You can take it back at any time.",
    ),
    "consent_yes": Words("同意", "I agree"),
    "consent_no": Words("不同意", "No"),
    "reconnecting": Words("屏幕正在重新连接，请稍候", "The screen is reconnecting, please wait"),
}

TRANSFER_TEXT = "transfer-1"  # names consent_transfer, _why and _free in the signed consent: change one, change it

_WEEKDAYS_ZH = "一二三四五六日"
_WEEKDAYS_EN = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS_EN = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def say(key: str, language: Language, **values: object) -> str:
    """Return the text called `key` with its values filled in. Raises KeyError."""
    return WORDS[key][language].format(**values)


def reason(code: str) -> Reason:
    """Return the texts of a reason code; a code that nobody has translated reads as `error`."""
    return REASONS.get(code, REASONS["error"])


def date_text(moment: datetime, language: Language) -> str:
    """Return the day as the language writes it, independent of the system's locale."""
    if language == "zh":
        return f"{moment.month}月{moment.day}日 星期{_WEEKDAYS_ZH[moment.weekday()]}"
    return f"{_WEEKDAYS_EN[moment.weekday()]} {moment.day} {_MONTHS_EN[moment.month - 1]}"
