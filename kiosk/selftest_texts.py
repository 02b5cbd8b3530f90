"""Every word of the self-test, Chinese and English: what parts are called, and what an installer does about each."""

from __future__ import annotations

from kiosk.terminal.texts import REASONS, Words

__all__ = ["FACE_SEEN", "FLAGS", "HEADINGS", "KEYS_DO", "PARTS", "STATES", "Words", "do_about", "part_name", "what_is"]

PARTS: dict[str, Words] = {
    "camera": Words("摄像头", "Camera"),
    "scene": Words("现场画面", "Scene"),
    "face": Words("识别模型", "Models"),
    "gps": Words("卫星定位", "GPS"),
    "beacons": Words("蓝牙信标", "Beacons"),
    "presence": Words("在场记录", "Presence"),
    "clock": Words("时钟", "Clock"),
    "journal": Words("本地记录", "Journal"),
    "network": Words("网络", "Network"),
    "keys": Words("密钥保护", "Keys"),
    "key_files": Words("密钥文件", "Key files"),
    "ledger": Words("账本", "Ledger"),
    "transfer": Words("人脸传送", "Transfer"),
    "attempts": Words("打卡过程", "Attempts"),
    "screen": Words("屏幕", "Screen"),
    "badge_reader": Words("读卡器", "Reader"),
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
    "others": Words("另有 {count}", "+{count} more"),
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
    **{
        (part, "attempt_hung"): Words(
            "终端会自行重启；反复出现请看日志", "It restarts by itself; if it recurs, see the log"
        )
        for part in ("face", "attempts")
    },
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
    ("journal", "journal_busy"): Words("先停止终端服务", "Stop the terminal's service first"),
    ("journal", "journal_damaged"): Words("保留文件，联系管理员", "Keep the file, and call the manager"),
    ("network", "no_collector_key"): Words(
        "在 collector_keys 里写上考勤中心公钥", "Put the collector's keys into collector_keys"
    ),
    ("network", "offline"): Words("检查网线和 broker 设置", "Check the network and the setting broker"),
    ("network", "https"): Words("检查 broker；数据照常上传", "Check the broker; events arrive all the same"),
    ("network", "events_refused"): Words(
        "在考勤中心看死信：为什么拒收", "See the collector's dead letters: why it refuses"
    ),
    ("network", "no_receipts"): Words("考勤中心没有回执：设备登记了吗？", "No receipts: is this device registered?"),
    ("keys", "key_file_exposed"): KEYS_DO,
    ("scene", "scene_covered"): Words("擦净镜头，开灯", "Clear the lens, switch on the light"),
    ("scene", "scene_moved"): Words(
        "转回原位；有意移动的，删除 scene.npz", "Put it back; if it was meant, remove scene.npz"
    ),
    ("scene", "scene_unknown"): Words(
        "移开镜头前的东西；现场变了就删除 scene.npz",
        "Clear what stands before it; if the site has changed, remove scene.npz",
    ),
    ("scene", "scene_unreadable"): Words("删除 scene.npz，让它重新学习", "Remove scene.npz: it is learnt anew"),
    ("scene", "scene_unseen"): Words("先让摄像头恢复工作", "First bring the camera back"),
    ("scene", "scene_learning"): Words(
        "离开镜头等一分钟；墙上没有图案就贴一张告示",
        "Leave the view for a minute; on a bare wall hang a notice",
    ),
    ("gps", "antenna_lost"): Words("检查天线和天线的线", "Check the antenna and its cable"),
    ("journal", "journal_too_new"): Words("安装更新的终端软件", "Install the newer version of the terminal"),
    ("journal", "journal_foreign"): Words(
        "检查 data_dir：这不是本终端的记录", "Check data_dir: this is not its journal"
    ),
    ("journal", "new_chain"): Words("请管理员在考勤中心批准新记录", "Have the new journal approved at the collector"),
    ("journal", "bad_receipt"): Words("检查 collector_keys 是否过时", "Check whether collector_keys is up to date"),
    ("network", "certificate_ended"): Words(
        "检查 collector_url 和网络；不行就重新加入", "Check collector_url and the network; else join anew"
    ),
    ("ledger", "no_ledger_key"): Words("在 ledger_key 里写上账本公钥", "Put the ledger's key into ledger_key"),
    ("ledger", "split_view"): Words("不要删除任何文件，立即通知管理员", "Remove nothing, and call the manager at once"),
    ("ledger", "memory_lost"): Words(
        "等考勤中心换钥通知；还不行按左边处理", "Wait for the collector's handovers; else as said beside"
    ),
    ("ledger", "unproved"): Words("请管理员检查考勤中心的账本", "Have the collector's ledger checked"),
    ("ledger", "not_shown"): Words("等一会儿；检查网络", "Wait a while; check the network"),
    ("keys", "keys_unprotected"): Words(
        "装上 TPM 并运行 zaigang kiosk rotate-key，或锁好机箱",
        "Fit a TPM and run zaigang kiosk rotate-key, or guard the disk",
    ),
    ("keys", "key_file_unreadable"): Words("检查密钥文件的用户和磁盘", "Check the key file's owner and the disk"),
    ("keys", "tpm_failed"): Words("检查 TPM 和设置 tpm，重启终端", "Check the TPM and the setting tpm, then restart"),
    ("keys", "identity"): Words("检查密钥文件和 TPM", "Check the key file and the TPM"),
    ("key_files", "key_file_exposed"): KEYS_DO,
    ("key_files", "key_file_unreadable"): Words("检查密钥文件的用户和磁盘", "Check the key file's owner and the disk"),
    ("transfer", "key_changed"): Words(
        "核对那台终端的指纹，再运行 kiosk peers confirm", "Compare the fingerprint there, then kiosk peers confirm"
    ),
    ("transfer", "no_peers"): Words(
        "运行 zaigang kiosk peers，确认其他终端", "Run zaigang kiosk peers, confirm the others"
    ),
    ("transfer", "broker_refuses"): Words(
        "重新写入代理的权限：collector broker-config", "Write the broker's rights anew: collector broker-config"
    ),
    ("transfer", "switched_off"): Words("等待删除完成", "Wait until it is erased"),
    ("badge_reader", "no_badge_reader"): Words(
        "检查插头、badge_reader 设置和 input 组", "Check the plug, badge_reader and the group input"
    ),
    ("badge_reader", "badge_codes"): Words("改正 badge_codes 里的文件", "Mend the file that badge_codes names"),
    ("enclosure", "enclosure_opened"): Words(
        "检查机箱和摄像头，再由管理员签发解除", "Look at case and camera, then have a clear signed"
    ),
    ("enclosure", "enclosure_unreadable"): Words(
        "检查 tamper_pin、接线和 gpio 组", "Check tamper_pin, the wiring and the group gpio"
    ),
    ("enclosure", "lamps_failed"): Words("检查灯和蜂鸣器的接线", "Check the wiring of lamps and buzzer"),
    ("terminal", "gallery"): Words(
        "人脸库或其密钥损坏：从同一份备份恢复两者，或移走 gallery.db 后重新登记",
        "The gallery or its key is damaged: restore both from one backup, or move gallery.db away and enrol again",
    ),
    ("terminal", "identity"): Words("检查 data_dir 里的身份文件", "Check the identity files in data_dir"),
    ("terminal", "tpm_failed"): Words(
        "检查 TPM 和设置 tpm，重启终端", "Check the TPM and the setting tpm, then restart"
    ),
    ("gps", "demanded"): Words("本工地的规则要求定位：设置 gps_port", "This site's policy demands it: set gps_port"),
    ("beacons", "demanded"): Words("本工地的规则要求信标：设置 beacons", "This site's policy demands it: set beacons"),
    ("camera", "demanded"): Words("本工地的规则要求人脸：设置 camera", "This site's policy demands it: set camera"),
    ("face", "demanded"): Words("本工地的规则要求人脸：设置 camera", "This site's policy demands it: set camera"),
    ("screen", "port_taken"): Words("先停止终端服务，或换 screen_port", "Stop the service first, or set screen_port"),
}
# Codes that any part may have: its own fault, the journal's, or a state without a word of its own.
_DO_OF_ANY: dict[str, Words] = {
    "error": Words("查看终端日志，重启终端", "See the terminal's log, and restart the terminal"),
    "failed": Words("查看终端日志，重启终端", "See the terminal's log, and restart the terminal"),
    "degraded": Words("查看终端日志", "See the terminal's log"),
    "disk_full": Words("腾出磁盘空间", "Make room on the disk"),
    "journal_failed": Words("检查磁盘", "Check the disk"),
    "unknown": Words("再等一会儿", "Wait a moment"),
}
# What else a part may say: the exchange of faces says whatever another terminal, the gallery or the key made of it.
_DO_ELSE: dict[str, Words] = {
    "transfer": Words("查看终端日志和 zaigang kiosk peers", "See the terminal's log and zaigang kiosk peers"),
    "terminal": Words("按左边的说明改好设置，查看终端日志", "Mend what is said beside; see the terminal's log"),
    "journal": Words("查看终端日志，检查磁盘", "See the terminal's log, and check the disk"),
}
# What a code means, where the worker's screen has no words for it.
_WHAT: dict[str, Words] = {
    "not_synced": Words("时钟没有校准", "The clock is not set"),
    "scene_learning": Words("正在学习现场画面", "The scene is being learnt"),
    "scene_unseen": Words("没有画面，无法判断", "There is no picture to judge it by"),
    "outside": Words("在工地外", "outside the fence"),
    "inside": Words("在工地内", "inside the fence"),
    "still": Words("没有设置范围", "no fence is set"),
    "no_fix": Words("没有定位", "no fix"),
    "insufficient": Words("好的定位还不够", "too few good fixes yet"),
    "moving": Words("位置在移动", "the position moves"),
    "suspect": Words("信号可疑", "the signal looks simulated"),
    "no_collector_key": Words("没有考勤中心公钥", "No key of the collector"),
    "offline": Words("连不上代理", "Offline"),
    "no_receipts": Words("没有回执", "No receipts"),
    "events_refused": Words("考勤中心拒收数据", "The collector refuses events"),
    "https": Words("没有代理，数据走 HTTPS", "No broker; events go over HTTPS"),
    "certificate_ended": Words("证书已过期，打卡照常保存", "The certificate has ended; punches are kept"),
    "no_ledger_key": Words("没有账本公钥", "No key of the ledger"),
    "split_view": Words("考勤中心出示了不一致的账本", "The collector showed another ledger"),
    "memory_lost": Words("见过的账本记录读不出", "What was seen of the ledger cannot be read"),
    "unproved": Words("考勤中心不证明账本只增不减", "No proof that the ledger only grew"),
    "not_shown": Words("还没有看到账本", "The ledger has not been shown yet"),
    "keys_unprotected": Words("密钥没有 TPM 保护", "No TPM holds the keys"),
    "key_file_exposed": Words("别人能读密钥文件", "Others may read the key file"),
    "key_file_unreadable": Words("密钥文件读不了", "The key file cannot be read"),
    "tpm_failed": Words("TPM 故障", "The TPM failed"),
    "identity": Words("终端身份有误", "The terminal's identity is wrong"),
    "no_face_path": Words("本工地不用人脸", "This site uses no faces"),
    "switched_off": Words("没有启用", "Switched off"),
    "key_changed": Words("另一台终端换了密钥", "Another terminal shows another key"),
    "no_peers": Words("还没有确认其他终端", "No other terminal is confirmed"),
    "broker_refuses": Words("代理拒绝", "The broker refuses"),
    "journal_busy": Words("记录正在被使用", "The journal is in use"),
    "journal_too_new": Words("记录来自更新的版本", "The journal is of a newer version"),
    "journal_foreign": Words("这是别的终端的记录", "The journal is another terminal's"),
    "error": Words("这个部件出错了", "This part failed"),
    "failed": Words("有故障", "failed"),
    "degraded": Words("部分正常", "works in part"),
    "unknown": Words("还在启动", "is still starting"),
    "absent": Words("没有配置", "not configured"),
}
FLAGS: dict[str, Words] = {  # signs of a GPS reading (kiosk/sensors/gps.py)
    "simulator": Words("信号自称模拟", "says it is simulated"),
    "flat_snr": Words("各卫星一样强，像模拟", "all equally strong, as simulated"),
    "time_jumped": Words("卫星时间跳变", "its time jumped"),
    "antenna_lost": Words("天线断开", "antenna cut off"),
    "moved": Words("终端移动过", "moved from home"),
    "climbed": Words("高度变了", "another height"),
    "clock_differs": Words("与终端时钟不一致", "differs from our clock"),
}
_ANY = Words("按左边的说明检查", "See what is said beside")
_NOTHING = Words("", "")
_CODES_OF_ABSENCE = frozenset({"absent", "no_face_path"})  # nothing is wanted that is not there


def part_name(part: str) -> Words:
    """What people call a part; a part that this version does not know is called by its own name."""
    return PARTS.get(part, Words(part, part))


def do_about(part: str, code: str) -> Words:
    """What to do about `code` (the first word of a reason) of `part`; nothing where there is none."""
    if not code or code in _CODES_OF_ABSENCE:
        return _NOTHING
    return _DO.get((part, code)) or _DO_OF_ANY.get(code) or _DO_ELSE.get(part, _ANY)


def what_is(part: str, code: str) -> Words:
    """What a code of `part` means, in a few words; of one that this version does not know, that there is something."""
    if part == "gps" or code not in REASONS:
        found = _WHAT.get(code)
        if found is not None:
            return found
    return REASONS[code].what if code in REASONS else Words("请看说明", code)
