"""Every word of the self-test, Chinese and English: what parts are called, and what an installer does about each."""

from __future__ import annotations

from kiosk.terminal.texts import Words

__all__ = ["FACE_SEEN", "HEADINGS", "KEYS_DO", "PARTS", "STATES", "Words", "do_about", "part_name"]

PARTS: dict[str, Words] = {
    "camera": Words("摄像头", "Camera"),
    "face": Words("识别模型", "Models"),
    "gps": Words("卫星定位", "GPS"),
    "beacons": Words("蓝牙信标", "Beacons"),
    "clock": Words("时钟", "Clock"),
    "journal": Words("本地记录", "Journal"),
    "network": Words("网络", "Network"),
    "keys": Words("密钥", "Keys"),
    "ledger": Words("账本", "Ledger"),
    "screen": Words("屏幕", "Screen"),
    "badge": Words("读卡器", "Reader"),
    "enclosure": Words("机箱", "Enclosure"),
    "terminal": Words("终端", "Terminal"),
}
STATES: dict[str, Words] = {
    "ok": Words("正常", "works"),
    "doubt": Words("请检查", "check"),
    "failed": Words("有故障", "failed"),
    "absent": Words("未配置", "absent"),
}
HEADINGS: dict[str, Words] = {
    "title": Words("终端自检", "Self-test"),
    "part": Words("部件", "Part"),
    "state": Words("状态", "State"),
    "seen": Words("看到的情况", "Seen"),
    "do": Words("怎么办", "What to do"),
    "well": Words("没有故障", "Nothing failed"),
    "unwell": Words("有故障，请处理红色的项目", "Something failed: see to the red lines"),
    "no_picture": Words("没有画面", "No picture"),
    "page": Words("第 {page} / {count} 页  ▶", "Page {page} of {count}  ▶"),
}
FACE_SEEN: dict[str, Words] = {
    "ok": Words("看到合格的人脸", "A good face"),
    "no_models": Words("没有模型，看不了人脸", "no models to look for a face"),
}
KEYS_DO = Words("只能让终端用户读取：chmod 600", "Only the terminal's user may read it: chmod 600")

_DO: dict[tuple[str, str], Words] = {
    ("camera", "camera_failed"): Words("检查摄像头的线和 camera 设置", "Check the cable and the setting camera"),
    ("camera", "camera_stalled"): Words("重新插摄像头，或重启终端", "Replug the camera, or restart the terminal"),
    ("camera", "camera_ended"): Words("视频文件已放完", "The video file is over"),
    ("camera", "slow"): Words("画面太慢：加灯，或换 USB 口", "Too few pictures: more light, or another USB port"),
    ("camera", "dark"): Words("太暗：在前面加灯", "Too dark: put a lamp in front"),
    ("camera", "bright"): Words("太亮：避开窗户或太阳", "Too bright: turn away from window or sun"),
    ("face", "models_missing"): Words("运行 python -m kiosk.verify.models", "Run python -m kiosk.verify.models"),
    ("face", "face_failed"): Words("下次刷脸时重建；仍故障就重启终端", "Rebuilt at the next face; else restart it"),
    ("face", "attempt_hung"): Words(
        "终端会自行重启；反复出现请看日志", "It restarts by itself; if it recurs, see the log"
    ),
    ("gps", "no_receiver"): Words("检查接线和 gps_port", "Check the wiring and gps_port"),
    ("gps", "stale"): Words("检查接线和 gps_baud", "Check the wiring and gps_baud"),
    ("gps", "no_fix"): Words("让天线看到天空", "Give the antenna a view of the sky"),
    ("gps", "insufficient"): Words("让天线看到天空，再等一分钟", "A better view of the sky, and another minute"),
    ("gps", "moving"): Words("位置在移动：固定好天线", "The position moves: fix the antenna"),
    ("gps", "suspect"): Words("信号像是模拟的：找附近的发射器", "It looks simulated: look for a sender near by"),
    ("gps", "outside"): Words("检查 fence 的坐标和半径", "Check position and radius of fence"),
    ("gps", "still"): Words("没有设置 fence", "No fence is set"),
    ("beacons", "no_scanner"): Words("检查蓝牙适配器和 bluetoothd", "Check the Bluetooth adapter and bluetoothd"),
    ("beacons", "stale"): Words("附近没有信标：检查电池", "Nothing is heard: check the beacons' batteries"),
    ("beacons", "not_heard"): Words("锚点不够近：移近或换电池", "No anchor is near: move it closer, or a new battery"),
    ("beacons", "no_anchors"): Words("在 anchors 里写上工地的信标", "Name the site's beacons in anchors"),
    ("clock", "not_synced"): Words("接上网络时间 (NTP) 或定位模块", "Connect NTP or a GPS receiver"),
    ("journal", "low_space"): Words("腾出磁盘空间", "Make room on the disk"),
    ("journal", "disk_full"): Words("腾出磁盘空间", "Make room on the disk"),
    ("journal", "journal_busy"): Words("先停止终端服务", "Stop the terminal's service first"),
    ("journal", "journal_damaged"): Words("保留文件，联系管理员", "Keep the file, and call the manager"),
    ("network", "no_collector_key"): Words(
        "在 collector_keys 里写上汇集端公钥", "Put the collector's keys into collector_keys"
    ),
    ("network", "offline"): Words("检查网线和 broker 设置", "Check the network and the setting broker"),
    ("network", "no_receipts"): Words("汇集端没有回执：检查设备是否已登记", "No receipts: is this device registered?"),
    ("keys", "key_file_exposed"): KEYS_DO,
    ("gps", "demanded"): Words("本工地的规则要求定位：设置 gps_port", "This site's policy demands it: set gps_port"),
    ("beacons", "demanded"): Words("本工地的规则要求信标：设置 beacons", "This site's policy demands it: set beacons"),
    ("screen", "port_taken"): Words("先停止终端服务，或换 screen_port", "Stop the service first, or set screen_port"),
}
_ANY = Words("按左边的说明检查", "See what is said beside")
_NOTHING = Words("", "")
_CODES_OF_ABSENCE = frozenset({"absent", "no_face_path"})


def part_name(part: str) -> Words:
    """What people call a part; a part that this version does not know is called by its own name."""
    return PARTS.get(part, Words(part, part))


def do_about(part: str, code: str) -> Words:
    """What to do about `code` (the first word of a reason) of `part`; nothing where there is none."""
    if not code or code in _CODES_OF_ABSENCE:
        return _NOTHING
    return _DO.get((part, code), _ANY)
